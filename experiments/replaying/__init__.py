"""Traces of requests, played against the policies of a market of queries: `walras replay`."""
