"""The tables of an observation: one row per setting and control, and one per layer of each."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from walras.experiments.observing.evaluation import ELIMINATION
from walras.experiments.observing.inactive import is_inactive
from walras.experiments.observing.sweep import Observation
from walras.experiments.observing.tally import STATISTICS
from walras.models.resources.macs import PARTS

SHOWN = (
    "constrain", "rule", "budget", "control", "value", "dense", "active", "inactive", "kept", "mass", "gini",
    "gini_bound", "gini_kept", "entropy", "entropy_bound", "before_gini", "before_entropy", "unconstrained_gini",
    "unconstrained_entropy", "theoretical_total", "measured_total",
)  # fmt: skip


def observation_table(found: Iterable[Observation], metric: str) -> pd.DataFrame:
    """`observe.parquet`, one row per setting and control.

    Statistics are means over heads and queries of all layers, of the constrained ones and of the unconstrained ones,
    NaN where there are none. `active` is the share of the constrained layers' rows in which the rule changed anything;
    under token elimination, the share of tokens that left. `inactive` is a budget that took nothing away. MACs are of a
    mean sequence: what runs is `measured_`; `theoretical_` is what kernels would do that skip padding, closed pairs and
    weights of 0.
    """
    return pd.DataFrame([_row(o, metric) for o in found])


def layer_table(found: Iterable[Observation]) -> pd.DataFrame:
    """`layers.parquet`: the same statistics and totals layer by layer, and whether it was constrained."""
    rows: list[dict[str, Any]] = []
    for o in found:
        theoretical, measured = o.tally.theoretical(o.costs).sum(-1), o.tally.measured(o.costs).sum(-1)
        for layer, means in enumerate(o.tally.by_layer.tolist()):
            rows.append({
                **_names(o), "layer": layer, "constrained": layer in o.layers,
                **dict(zip(STATISTICS, means, strict=True)),
                "theoretical_total": theoretical[layer], "measured_total": measured[layer],
            })  # fmt: skip
    return pd.DataFrame(rows)


def shown(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The main columns as records, None for NaN, as JSON has it."""
    part = table[[*SHOWN]].astype(object)
    records: list[dict[str, Any]] = part.where(part.notna(), None).to_dict("records")  # type: ignore[assignment]  # str keys
    return records


def _names(o: Observation) -> dict[str, Any]:
    return {"constrain": o.constrain, "rule": o.rule, "budget": o.budget, "control": o.control}


def _row(o: Observation, metric: str) -> dict[str, Any]:
    everywhere, among, elsewhere = (o.tally.mean(layers) for layers in (range(len(o.tally.rows)), o.layers, o.free))
    eliminated = o.rule == ELIMINATION
    active = among["active"] if o.changed is None else o.changed
    if eliminated:  # the first layer comes before anybody leaves, and is no layer that could answer
        elsewhere = dict.fromkeys(STATISTICS, np.nan)
    return {
        **_names(o), "layers": ",".join(map(str, o.layers)), "metric": metric, "value": o.value, "dense": o.dense,
        **everywhere, "active": active, "inactive": is_inactive(o),
        **_prefixed("constrained", among), **_prefixed("unconstrained", elsewhere),
        **_macs("theoretical", o.tally.theoretical(o.costs)), **_macs("measured", o.tally.measured(o.costs)),
    }  # fmt: skip


def _prefixed(prefix: str, means: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": mean for name, mean in means.items() if name != "active"}


def _macs(prefix: str, macs: NDArray[np.float64]) -> dict[str, float]:
    parts = macs.sum(0)
    return {
        **{f"{prefix}_{part}": float(n) for part, n in zip(PARTS, parts, strict=True)},
        f"{prefix}_total": float(parts.sum()),
    }
