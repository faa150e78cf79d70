"""The report of an observation: what scarcity did in a sentence, the curves, and the table."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from walras.experiments.observing.examples import ExampleHead
from walras.experiments.observing.reports import pictures
from walras.experiments.reports.metric import titled
from walras.experiments.reports.numbers import ABSENT, change, number, quality, short
from walras.experiments.reports.pages.made import command_of
from walras.experiments.reports.pages.page import Made, Note, Page, Picture, Section, Table, cells
from walras.experiments.reports.pages.writing import write_page
from walras.experiments.store.versions import versions

_ARITHMETIC = (
    "Keeping k of n keys and renormalising raises the Gini coefficient to at least (n - k) / (n - 1) (normalised) and "
    "lowers the entropy to at most ln k, for any scores, those of untrained weights too: the kept weights majorise all "
    "weights. Behaviour is what the model computes before the rule (“before”), and what layers do that are not "
    "constrained (“free”), beside the same figures where nothing is scarce, where as many keys are drawn by lot, and "
    "where weights are untrained."
)
_THEORY = (
    "Keys that are dropped have been scored first, so at most the mix of their values is saved, and only by kernels "
    "that skip them: that is “theoretical”. “Measured” counts what truly runs, padding included; token elimination "
    "runs fewer rows."
)
_COLUMNS = {
    "active": "active", "kept": "kept keys", "mass": "mass held", "gini": "Gini", "gini_bound": "at least",
    "gini_kept": "Gini, kept", "entropy": "entropy [nats]", "entropy_bound": "at most", "before_gini": "Gini before",
    "before_entropy": "entropy before", "unconstrained_gini": "Gini, free layers",
    "unconstrained_entropy": "entropy, free layers",
}  # fmt: skip
_MACS = {"theoretical_total": "theoretical [M MACs]", "measured_total": "measured [M MACs]"}
_TOKENS = "tokens"  # the pattern of token elimination


def write_report(
    folder: Path, table: pd.DataFrame, shown: Sequence[ExampleHead], summary: Mapping[str, Any], settings: Any = None
) -> None:
    """Write `report.html` and the pictures.

    Args:
        folder: of the observation.
        table: one row per setting and control.
        shown: weights of a few heads.
        summary: what `result.json` holds.
        settings: of the command; None where they are not known.
    """
    metric, rule = titled(summary["metric"]), summary["rule"]
    at, warned = summary["examples_at"], [Note(text, warning=True) for text in summary["warnings"]]
    curves = Picture(
        "frontier", pictures.frontier(table, rule, metric), f"{metric} against compute, for {rule} and its controls.",
        "Production-possibility curve. Theoretical figures and those of what runs are different curves; the axis of "
        "the metric spans at least a fifth of the dense model's figure.",
    )  # fmt: skip
    inequality = Picture(
        "inequality", pictures.inequality(table, rule, summary["unit"]),
        "Change of Gini coefficient and entropy of attention against the budget.",
        "Inequality of the softmax that layers compute, before any rule. The axes span at least a twentieth of what "
        "the figures can be, to either side of 0.",
    )  # fmt: skip
    heads = Picture(
        "heatmaps", pictures.heat_maps(shown, rule, at["budget"]), "Weights of a few heads, dense beside sparse.",
        f"Constrained: {at['constrain']}. A cell without colour is exactly 0.",
    )  # fmt: skip
    patterns = list(dict.fromkeys(row["constrain"] for row in summary["rows"]))
    sections = [
        Section("Compute and quality", [curves]),
        Section("What is arithmetic and what is behaviour", [Note(_ARITHMETIC), Note(_THEORY), inequality]),
        Section("A few heads", [heads], folded=True),
        Section(f"All {len(summary['rows'])} rows", [_table(summary, name, metric) for name in patterns], folded=True),
    ]
    about = (
        f"{summary['model']}, {summary['layers']} layers, {summary['sequences']} sequences of at most "
        f"{summary['most_keys']} keys. Budgets are in {summary['unit']}. Figures are means over layers, heads and all "
        "queries that are no padding."
    )
    page = Page(f"Scarce attention: {rule} on {summary['task']}", about, sentence(summary), warned, sections,
                _made(summary, settings))  # fmt: skip
    write_page(folder, page)


def sentence(summary: Mapping[str, Any]) -> str:
    """What the rule does to the metric at the budget whose heads are shown, beside keys drawn by lot."""
    metric, rule, at = summary["metric"], summary["rule"], summary["examples_at"]
    dense, place = float(metric["dense"]), f"At {short(at['budget'])} {summary['unit']} ({at['constrain']} layers)"
    found = dict(_at_budget(summary, rule, at))
    if "none" not in found:
        return f"{summary['model']} has {metric['name']} {quality(dense)} where nothing is scarce."
    value = found["none"]
    relative = change(value, dense)
    told = "" if relative == ABSENT else f" ({relative})"
    lot = f"; with as many keys drawn by lot it is {quality(found['random-k'])}" if "random-k" in found else ""
    return f"{place}, {rule} takes {metric['name']} from {quality(dense)} to {quality(value)}{told}{lot}."


def _at_budget(summary: Mapping[str, Any], rule: str, at: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for row in summary["rows"]:
        if row["constrain"] == at["constrain"] and row["budget"] == at["budget"] and row["rule"] in (rule, "random-k"):
            yield row["control"], row["value"]


def _table(summary: Mapping[str, Any], pattern: str, metric: str) -> Table:
    """All rows of a pattern of constrained layers."""
    rows = [row for row in summary["rows"] if row["constrain"] == pattern]
    inactive = [" (inactive)" if row["inactive"] else "" for row in rows]
    columns = [
        [str(row["rule"]) for row in rows], [str(row["control"]) for row in rows],
        [ABSENT if row["budget"] is None else short(row["budget"]) for row in rows],
        [quality(row["value"]) for row in rows],
        *(cells(row[name] for row in rows) for name in _COLUMNS),
        *([number(row[name] / 1e6) for row in rows] for name in _MACS),
    ]  # fmt: skip
    columns[4] = [told + more for told, more in zip(columns[4], inactive, strict=True)]
    layers = summary["constrain"].get(pattern)
    caption = (
        "Token elimination: from the second layer on"
        if pattern == _TOKENS
        else f"Constrained layers: {pattern} ({', '.join(map(str, layers or ()))})"
    )
    headings = ["rule", "control", "budget", metric, *_COLUMNS.values(), *_MACS.values()]
    return Table(headings, [*zip(*columns, strict=True)], caption, texts=2)


def _made(summary: Mapping[str, Any], settings: Any) -> Made:
    command = command_of(settings)
    told = {name: str(summary[name]) for name in ("seed", "model", "task", "rule") if name in summary}
    reason = "" if command else "It was started from Python; config.yaml has its settings."
    return Made(command, reason, told, versions())
