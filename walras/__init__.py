"""Walras: agent-based markets for compute inside real transformers."""
