"""Settings of runs: how fields are read, nested and named, and how earlier versions wrote them."""
