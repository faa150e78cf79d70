"""The report of an observation: one HTML file with its pictures inside, and the pictures as files beside it."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, select_autoescape

from walras.experiments import plots
from walras.experiments.metric import titled
from walras.experiments.observing import pictures
from walras.experiments.observing.examples import Shown
from walras.experiments.observing.folder import ObserveFolder


def write_report(
    folder: ObserveFolder, table: pd.DataFrame, shown: Sequence[Shown], summary: Mapping[str, Any]
) -> None:
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
    figures = []
    for name, (figure, alt) in drawn.items():
        data = plots.png(figure)
        folder.write(f"{name}.png", data)
        figures.append({"alt": alt, "data": b64encode(data).decode()})
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape())
    page = environment.get_template("observe.html")
    folder.write("report.html", page.render(summary=summary, metric=metric, figures=figures))
