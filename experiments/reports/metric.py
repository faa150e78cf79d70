"""How a task's metric is called where people read it."""

from collections.abc import Mapping
from typing import Any


def titled(metric: Mapping[str, Any]) -> str:
    """Name of the `metric` of a result, with its direction where less is better."""
    down = metric.get("higher_is_better") is False  # None: the user's own figure, of which nobody knows
    return f"{metric['name']} (lower is better)" if down else str(metric["name"])
