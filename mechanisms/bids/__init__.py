"""Populations of bids: how agents answer prices, one shape per file."""
