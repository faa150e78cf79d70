"""Settings of a market in the browser that count where nothing else is given."""

LIVELY = {"recipe": "none", "repair": "none", "block": 1, "sentences": 32, "rounds": 12, "probes": 0}
"""Single neurons, and rounds that take seconds."""
