"""`walras interactions` from end to end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
from matplotlib.image import imread

Walras = Callable[..., Any]


def test_ties_between_heads(walras: Walras, models: Path) -> None:
    options = ("--model", models / "bert", "--sentences", 8, "--out", "r", "--strongest", 6)
    answer = walras("interactions", *options, "--json")
    assert answer.code == 0, answer.error
    edges = json.loads(answer.out)
    assert len(edges) == 6
    assert all((edge["interaction"] > 0) == (edge["relation"] == "complements") for edge in edges)
    graph = nx.read_graphml("r/interactions.graphml")
    assert graph.number_of_edges() == 6
    assert {data["kind"] for _, data in graph.nodes(data=True)} == {"head"}
    assert imread("r/interactions.png").std() > 0
    again = walras("interactions", *options, "--layers", 1, "--kind", "ffn")
    assert again.code == 0, again.error
    assert "interactions.graphml" in again.out


def test_bad_input(walras: Walras, models: Path) -> None:
    for more, message in (
        (("--layers", 7), "layer 7 is not there; the network has layers 0 to 1"),
        (("--kind", "heads"), "unknown unit kind 'heads'. Did you mean 'head'?"),
        (("--layers", 0, "--kind", "ffn", "--block", 1000), "1 units of kind ffn are chosen"),
    ):
        answer = walras("interactions", "--model", models / "bert", "--sentences", 8, "--out", "r", *more)
        assert answer.code == 2
        assert message in answer.error
        assert not Path("r").exists()
