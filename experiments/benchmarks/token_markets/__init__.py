"""Markets inside a token, measured: quality beside published designs, and time."""
