"""Evaluations of a sweep that are kept as they come, so that a sweep that was killed goes on."""

from collections.abc import Callable
from typing import Any, final

from walras.experiments.observing.folder import ObserveFolder
from walras.experiments.observing.tally import Tally

Evaluation = tuple[float, Tally]  # the task's metric, and what attention did


@final
class Evaluations:
    """Every evaluation by its name. What a folder has of earlier ones is not run again."""

    def __init__(self, folder: ObserveFolder | None = None) -> None:
        self.folder = folder
        self.known: dict[str, Any] = {} if folder is None else folder.evaluations()

    def __call__(self, name: str, run: Callable[[], Evaluation]) -> Evaluation:
        """The evaluation that is known under the name, or else is run now, and kept."""
        if name not in self.known:
            value, tally = run()
            self.known[name] = {"value": value, "tally": tally.state}
            if self.folder is not None:
                self.folder.keep(self.known)
        return self.known[name]["value"], Tally.from_state(self.known[name]["tally"])
