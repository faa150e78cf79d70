"""Commands over queries of a reasoning model, and the tokens that they get."""
