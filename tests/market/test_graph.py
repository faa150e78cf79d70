"""Complements and substitutes as a graph, there and back through GraphML."""

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from walras.errors import InputError
from walras.market.graph import interaction_graph, write_graph


def test_the_strongest_ties_of_some_units(floor: Any, tmp_path: Path) -> None:
    units = [0, 1, 7, 8]  # heads of both layers, whatever stands between
    matrix = np.array([[0, 0.5, -2, 0], [0.5, 0, 0.1, 0], [-2, 0.1, 0, 0.3], [0, 0, 0.3, 0]], dtype=float)
    graph = interaction_graph(floor.units, matrix, units, strongest=3)
    names = [floor.units.name(i) for i in units]
    assert list(graph) == names
    assert graph.nodes[names[2]]["layer"] == int(floor.units.layer[7])
    found = {frozenset((a, b)): (tie["relation"], tie["interaction"]) for a, b, tie in graph.edges(data=True)}
    assert found == {
        frozenset((names[0], names[2])): ("substitutes", -2.0), frozenset((names[0], names[1])): ("complements", 0.5),
        frozenset((names[2], names[3])): ("complements", 0.3),
    }  # fmt: skip
    write_graph(graph, tmp_path / "new" / "ties.graphml")
    back = nx.read_graphml(tmp_path / "new" / "ties.graphml")
    assert dict(back.nodes(data=True)) == dict(graph.nodes(data=True))
    assert {frozenset(e[:2]): e[2] for e in back.edges(data=True)} == {
        frozenset(e[:2]): e[2] for e in graph.edges(data=True)
    }
    assert interaction_graph(floor.units, matrix, units).number_of_edges() == 4  # none of strength 0


def test_without_interactions_there_is_no_graph(floor: Any) -> None:
    with pytest.raises(InputError, match="there are no interaction values"):
        interaction_graph(floor.units, np.zeros((3, 3)), [0, 1, 2])
    for matrix in (np.ones((2, 2)), np.array([[0, 1, 2], [1, 0, 0], [3, 0, 0.0]]), np.full((3, 3), np.nan)):
        with pytest.raises(InputError, match="they must be finite, symmetric"):
            interaction_graph(floor.units, matrix, [0, 1, 2])


def test_names_with_control_codes_are_readable_xml(tmp_path: Path) -> None:
    graph = nx.Graph()
    for i in range(2):
        graph.add_node(f"\x1b[31mL0.<&>{i}\x00", kind="\x07head", layer=0, index=i)
    graph.add_edge(*graph, interaction=1.0, relation="complements")
    write_graph(graph, tmp_path / "ties.graphml")
    assert list(nx.read_graphml(tmp_path / "ties.graphml")) == ["L0.<&>0", "L0.<&>1"]
