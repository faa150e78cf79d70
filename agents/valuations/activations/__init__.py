"""Values from how large activations are, and how much they vary: forward passes alone."""
