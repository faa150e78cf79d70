"""Folders of runs and grids on disk."""
