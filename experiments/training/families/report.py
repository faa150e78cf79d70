"""Tables, pictures and pages of families: of one task in the report of its grid, and of several tasks side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import pandas as pd

from walras.experiments.grids.axes import RECIPE
from walras.experiments.grids.runner import GridResult
from walras.experiments.reports.grids.frontier_plot import FEWEST
from walras.experiments.reports.grids.frontier_report import write_frontier_report
from walras.experiments.reports.metric import titled
from walras.experiments.reports.numbers import ABSENT, difference, percent, quality
from walras.experiments.reports.pages.page import Link, Made, Note, Page, Picture, Section, Table
from walras.experiments.reports.pages.writing import REPORT, write_page
from walras.experiments.store.versions import VERSIONS
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.families.claims import Claims, claims_of
from walras.experiments.training.families.picture import pareto_picture
from walras.experiments.training.families.points import FRONT, SERIES, SHARE, at_equal_compute, points_of, series_of
from walras.files.writing import write_whole

FILES = ("pareto.csv", "equal_compute.csv", "claims.csv")
"""Points that were measured, differences at equal compute, and points that are claimed."""


@final
@dataclass(frozen=True)
class Family:
    """The finished cells of a task's grid as points against compute."""

    found: GridResult[TrainConfig]

    @property
    def task(self) -> str:
        """Its name."""
        return str(self.found.about["task"])

    @cached_property
    def claims(self) -> Claims | None:
        """What is claimed on the task, where the same figure was measured."""
        claims = claims_of(self.task)
        return claims if claims is not None and self._column(claims.metric) in self.found.table else None

    @property
    def metric(self) -> str:
        """The figure: that of the claims where there are any."""
        return titled(self.found.metric) if self.claims is None else self.claims.metric

    @cached_property
    def points(self) -> pd.DataFrame:
        """A row per point that was measured."""
        least = self.found.metric.get("higher_is_better") is False
        return points_of(self._cells, self.found.table, self._figure, least)

    @cached_property
    def apart(self) -> pd.DataFrame:
        """Every priced point beside every recipe, where these use as much."""
        cells = self._cells
        varied = [name for name, labels in self.found.grid.axes.items() if len(labels) > 1]
        series = [series_of(cell, varied) for cell in cells]
        recipes = list(dict.fromkeys(s for s, c in zip(series, cells, strict=True) if c.settings.recipe is not None))
        priced = dict.fromkeys(s for s, c in zip(series, cells, strict=True) if c.settings.recipe is None)
        return at_equal_compute(self.found.table, series, self._figure, dict.fromkeys(priced, recipes))

    @property
    def verdict(self) -> str:
        """How many points are on the front, whose they are, and between which shares of compute they lie."""
        front = self.points[self.points[FRONT]]
        names, ends = ", ".join(dict.fromkeys(front[SERIES])), [percent(end(front[SHARE])) for end in (min, max)]
        return (
            f"{self.task}: {len(front)} of {len(self.points)} points are on the Pareto front of {self.metric} and "
            f"compute ({names}), from {ends[0]} to {ends[1]} of the compute."
        )

    def picture(self, name: str = "pareto") -> Picture:
        """The figure against compute."""
        claimed = "" if self.claims is None else (
            f" Hollow diamonds are claimed in {self.claims.source}, for {self.claims.model}; nothing of them was "
            "measured here."
        )  # fmt: skip
        alt = f"{self.metric} on {self.task} against compute, with the Pareto front of what was measured."
        return Picture(
            name, pareto_picture(self.points, self.metric, self.claims), alt,
            f"Means over seeds; bars are 95 % intervals, from {FEWEST} seeds on. Rings: no other point uses at most as "
            f"much compute and is at least as good.{claimed}",
        )  # fmt: skip

    def tables(self) -> list[Table]:
        """Points on the front, differences at equal compute, and claims: each a table of its own."""
        front = self.points[self.points[FRONT]].sort_values(SHARE)
        rows = [[str(row[RECIPE]), percent(row[SHARE]), quality(row["mean"])] for row in front.to_dict("records")]
        found = [Table(["", "compute", self.metric], rows, "On the Pareto front")]
        if len(self.apart):
            rows = [[str(row[RECIPE]), str(row["against"]), percent(row[SHARE]), str(row["pairs"]),
                     difference(row["difference"]), _sure(row)] for row in self.apart.to_dict("records")]  # fmt: skip
            headings = ["", "minus", "compute", "seeds", self.metric, "95 % interval"]
            found.append(Table(headings, rows, "At equal compute, seed by seed", texts=2))
        if self.claims is not None:
            rows = [[self.claims.model, percent(share), quality(value)]
                    for share, value in zip(self.claims.shares, self.claims.values, strict=True)]  # fmt: skip
            headings = ["model", "claimed compute", f"claimed {self.metric}"]
            found.append(Table(headings, rows, f"Claimed in {self.claims.source}; not measured here"))
        return found

    def write(self) -> None:
        """The tables as files of the grid, and its report with the picture."""
        folder = self.found.folder
        with folder.tables():
            for name, table in zip(FILES, (self.points, self.apart, self._claimed), strict=True):
                if len(table):
                    folder.write(name, table.to_csv(index=False, float_format="%.8g"))
        write_frontier_report(self.found, [Section("Pareto front", [self.picture(), *self.tables()])])

    @property
    def _cells(self) -> list[Any]:
        return [cell for cell in self.found.grid.cells if cell not in self.found.failed]

    @property
    def _figure(self) -> str:
        return "value" if self.claims is None else self._column(self.claims.metric)

    @property
    def _claimed(self) -> pd.DataFrame:
        return pd.DataFrame() if self.claims is None else self.claims.frame

    @staticmethod
    def _column(metric: str) -> str:
        return f"score {metric}"


def write_family(found: GridResult[TrainConfig]) -> None:
    """Write the report of a grid of trainings, with its Pareto front; nothing where no cell has finished."""
    if len(found.table):
        Family(found).write()


def write_families(results: Mapping[str, GridResult[TrainConfig]], out: Path) -> None:
    """Write the tables of all tasks' cells, and a page with a picture per task.

    Args:
        results: by the folder of the task below `out`.
        out: the folder.
    """
    families = {place: Family(found) for place, found in results.items() if len(found.table)}
    if not families:
        return
    tables = [family.found.table.assign(task=family.task) for family in families.values()]
    table = pd.concat(tables, ignore_index=True)
    table = table[["task", *(name for name in table if name != "task")]]
    write_whole(out / "frontier.csv", table.to_csv(index=False, float_format="%.8g"))
    claimed = [one.claims.frame.assign(task=one.task) for one in families.values() if one.claims is not None]
    if claimed:
        write_whole(out / "claims.csv", pd.concat(claimed).to_csv(index=False, float_format="%.8g"))
    write_page(out, _page(families))


def _page(families: Mapping[str, Family]) -> Page:
    """A section per task."""
    tasks, first = [family.task for family in families.values()], next(iter(families.values())).found
    sections = [
        Section(family.task, [family.picture(f"pareto-{place}"), *family.tables()])
        for place, family in families.items()
    ]
    missing = sum(len(family.found.failed) for family in families.values())
    notes = [Note(f"{missing} cells have not finished, and are missing here.", warning=True)] if missing else []
    links = [Link(f"{family.task}: all cells", f"{place}/{REPORT}") for place, family in families.items()]
    made = Made("", "compare.yaml in the folder of each task lists its cells.",
                {"seeds": ", ".join(map(str, first.grid.seeds))}, first.about.get(VERSIONS, {}), links)  # fmt: skip
    about = (
        f"{first.about.get('model', 'A model')}, trained under taxes on compute, each ending as a smaller model; "
        "figures are of the small models on the development split, which chose nothing."
    )
    return Page(
        f"Pareto families on {', '.join(tasks)}",
        about,
        " ".join(family.verdict for family in families.values()),
        notes,
        sections,
        made,
    )


def _sure(row: Mapping[Any, Any]) -> str:
    """The interval of a difference, and whether it tells anything."""
    if row["pairs"] < FEWEST or pd.isna(row["low"]):
        return f"{ABSENT} ({row['pairs']} of {FEWEST} seeds)"
    told = "below" if row["high"] < 0 else "above" if row["low"] > 0 else "not told apart"
    return f"{difference(row['low'])} to {difference(row['high'])}: {told}"
