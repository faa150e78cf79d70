"""Prices inside training: weights and gates together, then a smaller model."""
