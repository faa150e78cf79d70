"""The report of a run: one HTML file with its pictures inside, and the pictures as files beside it."""

from base64 import b64encode
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape

from walras.experiments import plots
from walras.experiments.folder import RunFolder
from walras.experiments.metric import titled
from walras.experiments.result import Result


def write_report(folder: RunFolder, result: Result) -> None:
    """Write `report.html` and the pictures of a run whose trace is written."""
    trace, unit = result.trace, str(result.summary["unit"])
    pictures = {
        "price": (plots.price_path(result.rounds, unit), "Clearing price and budget by round."),
        "allocation": (plots.allocation(trace), "Kept heads and FFN blocks by layer: filled cells stay, crosses go."),
        "bids": (plots.bids(trace, unit), "Bids against values in the last round."),
        "frontier": (plots.frontier(result.summary), "Task metric against compute used."),
    }
    figures = []
    for name, (figure, alt) in pictures.items():
        data = plots.png(figure)
        folder.write(f"{name}.png", data)
        figures.append({"alt": alt, "data": b64encode(data).decode()})
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape())
    page = environment.get_template("report.html")
    title = titled(result.summary["metric"])
    content = page.render(summary=result.summary, metric=title, figures=figures, rounds=result.rounds)
    folder.write("report.html", content)
