"""The units of a trace as a graph of who replaced whom."""

import networkx as nx
import pandas as pd

from walras.escaping import terminal_text
from walras.market import Trace

_FIGURES = ("cost", "value", "bid", "quantity", "price", "payment", "surplus", "wealth")


def replacement_graph(rows: pd.DataFrame, trace: Trace) -> nx.MultiDiGraph:
    """Nodes are the units of some rows of a trace, edges lead from a unit that left to the one that took its place.

    In a round in which units of a kind left and others entered, the most valued that entered stands for the most
    valued that left, the second for the second, and so on; the edge carries the `round`. Nodes carry the unit's kind,
    layer, index and strategy, and its figures in the last of its rows.
    """
    graph = nx.MultiDiGraph()
    for row in rows.drop_duplicates("agent", keep="last").to_dict("records"):
        figures = {name: float(row[name]) for name in _FIGURES}
        graph.add_node(
            str(row["agent"]), kind=str(row["kind"]), layer=int(row["layer"]), index=int(row["index"]),
            strategy=terminal_text(str(row["strategy"])), round=int(row["round"]), **figures,
        )  # fmt: skip
    for _, moved in trace.turnover.groupby(["round", "kind"], observed=True):
        ranked = moved.sort_values(["value", "agent"], ascending=[False, True])
        left, entered = (ranked.loc[ranked["change"] == change, "agent"] for change in ("left", "entered"))
        for gone, come in zip(left, entered, strict=False):  # as many as there are of both
            if gone in graph and come in graph:
                graph.add_edge(gone, come, round=int(moved["round"].iloc[0]))
    return graph
