"""Populations of bids: how agents answer prices, one shape a file."""
