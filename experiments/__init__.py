"""Tasks, recipes, training, sweeps, reports and the command line."""
