"""Phases that choose how many units of each sub-layer stay by looking at the network, not at bids alone."""
