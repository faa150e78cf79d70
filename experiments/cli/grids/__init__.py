"""`walras compare` and `walras calibrate`: commands that run many cells."""
