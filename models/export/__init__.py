"""Cutting units out for good, and folders of smaller models that transformers loads."""
