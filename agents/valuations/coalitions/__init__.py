"""Valuations that ask what sets of units are worth together: the network, or a model of it, without some of them."""
