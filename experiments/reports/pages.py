"""Reports: one HTML file with its pictures inside, and the pictures as files beside it."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from matplotlib.figure import Figure

from walras.experiments.reports import plots
from walras.files.writing import write_whole


def write_page(folder: Path, template: Path, drawn: Mapping[str, tuple[Figure, str]], **given: Any) -> None:
    """Write NAME.png for every picture, and `report.html`.

    Args:
        folder: where they go.
        template: of the page; pictures are its `figures`, each with `alt` and `data`.
        drawn: pictures by name, with what they show in words.
        given: whatever else the template takes.
    """
    figures = []
    for name, (figure, alt) in drawn.items():
        data = plots.png(figure)
        write_whole(folder / f"{name}.png", data)
        figures.append({"alt": alt, "data": b64encode(data).decode()})
    environment = Environment(loader=FileSystemLoader(template.parent), autoescape=select_autoescape())
    page = environment.get_template(template.name).render(figures=figures, **given)
    write_whole(folder / "report.html", page)
