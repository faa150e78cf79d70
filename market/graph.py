"""Units as a graph of complements and substitutes."""

from pathlib import Path

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from walras.errors import InputError
from walras.escaping import terminal_text
from walras.files.writing import whole_file
from walras.models import Inventory


def interaction_graph(
    inventory: Inventory, matrix: NDArray[np.float64], units: list[int] | None = None, strongest: int = 50
) -> nx.Graph:
    """Nodes are units, edges the `strongest` interactions [k, k] between the `units` (all, in order, by default).

    Nodes carry `kind`, `layer` and `index`, edges `interaction` and `relation`: complements where it is above 0,
    substitutes where it is below.

    Raises:
        InputError: a matrix of another shape, not symmetric or not finite, or in which nothing interacts.
    """
    place = list(range(len(inventory))) if units is None else units
    if matrix.shape != (len(place), len(place)) or not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T):
        raise InputError(
            f"interactions of shape {matrix.shape} for {len(place)} units; they must be finite, symmetric and [k, k]"
        )
    first, second = np.triu_indices(len(place), 1)
    strength = np.abs(matrix[first, second])
    if not (strength > 0).any():
        raise InputError("there are no interaction values: no two of these units change each other's worth")
    graph = nx.Graph()
    for unit in place:
        graph.add_node(
            inventory.name(unit), kind=str(inventory.kind[unit]), layer=int(inventory.layer[unit]),
            index=int(inventory.index[unit]),
        )  # fmt: skip
    names = list(graph)
    for edge in np.argsort(-strength, kind="stable")[: min(strongest, int((strength > 0).sum()))]:
        value = float(matrix[first[edge], second[edge]])
        relation = "complements" if value > 0 else "substitutes"
        graph.add_edge(names[first[edge]], names[second[edge]], interaction=value, relation=relation)
    return graph


def write_graph(graph: nx.Graph, file: str | Path) -> None:
    """GraphML, which Gephi, yEd and igraph read; names without control codes, which XML cannot hold."""
    plain = nx.relabel_nodes(graph, {name: terminal_text(name) for name in graph})
    for _, told in plain.nodes(data=True):
        told["kind"] = terminal_text(told["kind"])
    with whole_file(file) as draft:
        nx.write_graphml(plain, draft)
