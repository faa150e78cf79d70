"""The report of a run: one HTML file with its pictures inside, and the pictures as files beside it."""

from pathlib import Path
from typing import TYPE_CHECKING

from walras.experiments.reports import plots
from walras.experiments.reports.metric import titled
from walras.experiments.reports.pages import write_page
from walras.experiments.reports.sentence import in_one_sentence, kept_units
from walras.experiments.store.result_folder import ResultFolder
from walras.market import Trace

if TYPE_CHECKING:
    from walras.experiments.outcome import Outcome


def write_report(folder: ResultFolder, outcome: "Outcome") -> None:
    """Write `report.html` and the pictures of a run whose trace is written."""
    trace, summary = outcome.trace, outcome.summary.as_dict()
    unit, rounds = str(summary["unit"]), outcome.rounds
    pictures = {
        "price": (plots.price_path(rounds, unit), "Clearing price and budget by round."),
        "allocation": (plots.allocation(trace), "Kept units by layer: filled cells stay, crosses leave."),
        "bids": (plots.bids(trace, unit), "Bids against values in the last round."),
        "lorenz": (plots.lorenz(Trace(trace).lorenz), "What each agent holds at the end: Lorenz curves."),
        "frontier": (plots.frontier(summary), "Task metric against compute used."),
    }
    template, metric = Path(__file__).with_name("report.html"), titled(summary["metric"])
    write_page(
        folder.path, template, pictures,
        summary=summary, metric=metric, rounds=rounds, sentence=in_one_sentence(summary), kept=kept_units(summary),
    )  # fmt: skip
