"""The training loop: gates and their price, the optimiser, rows, checkpoints."""
