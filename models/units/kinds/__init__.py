"""Kinds of unit: what is traded in a sub-layer, where it is gated, and how it is cut out."""
