"""Sparsifying: prices at which every token buys what it is computed with, from settings to a folder that decodes."""
