"""What units use up: multiply-accumulates, parameters, milliseconds."""
