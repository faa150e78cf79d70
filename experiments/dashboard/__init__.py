"""`walras dashboard`: markets, runs and traces in the browser."""
