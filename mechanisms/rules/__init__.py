"""The rules of the market, one a file."""
