"""What becomes of the weights of the units that stay."""
