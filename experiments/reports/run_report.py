"""The report of a run: one HTML file with its pictures inside, and the pictures as files beside it."""

from pathlib import Path

from walras.experiments.reports import plots
from walras.experiments.reports.metric import titled
from walras.experiments.reports.pages import write_page
from walras.experiments.result import Result
from walras.experiments.store.run_folder import RunFolder
from walras.market import Trace


def write_report(folder: RunFolder, result: Result) -> None:
    """Write `report.html` and the pictures of a run whose trace is written."""
    trace, unit = result.trace, str(result.summary["unit"])
    pictures = {
        "price": (plots.price_path(result.rounds, unit), "Clearing price and budget by round."),
        "allocation": (plots.allocation(trace), "Kept heads and FFN blocks by layer: filled cells stay, crosses go."),
        "bids": (plots.bids(trace, unit), "Bids against values in the last round."),
        "lorenz": (plots.lorenz(Trace(trace).lorenz), "Who holds how much at the end: Lorenz curves."),
        "frontier": (plots.frontier(result.summary), "Task metric against compute used."),
    }
    template, metric = Path(__file__).with_name("report.html"), titled(result.summary["metric"])
    write_page(folder.path, template, pictures, summary=result.summary, metric=metric, rounds=result.rounds)
