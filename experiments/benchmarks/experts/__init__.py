"""A small mixture of experts: routing rules in its training, and half of its experts' bytes."""
