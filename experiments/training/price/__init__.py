"""A price of compute in training: gates, their market, and what ties them to a training loop."""
