"""What `walras trace` does with the traces of runs: choose rows, compare two runs, and write tables and pictures."""
