"""The report of an observation: one HTML file with its pictures inside, and the pictures as files beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from walras.experiments.observing.examples import ExampleHead
from walras.experiments.observing.reports import pictures
from walras.experiments.reports.metric import titled
from walras.experiments.reports.pages import write_page


def write_report(folder: Path, table: pd.DataFrame, shown: Sequence[ExampleHead], summary: Mapping[str, Any]) -> None:
    """Write `report.html` and the pictures."""
    metric, rule, at = titled(summary["metric"]), summary["rule"], summary["examples_at"]
    drawn = {
        "frontier": (
            pictures.frontier(table, rule, metric),
            "Production-possibility curve: the task's metric against compute. Theoretical figures and those of what "
            "runs are different curves.",
        ),
        "inequality": (
            pictures.inequality(table, rule, summary["unit"]),
            "Inequality of the softmax that layers compute, before any rule, against the budget.",
        ),
        "heatmaps": (
            pictures.heat_maps(shown, rule, at["budget"]),
            f"Weights of a few heads, dense beside sparse; constrained: {at['constrain']}. White is exactly 0.",
        ),
    }
    write_page(folder, Path(__file__).with_name("observe.html"), drawn, summary=summary, metric=metric)
