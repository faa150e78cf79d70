"""Pictures say what they show."""

from typing import Any

import numpy as np
import pytest

from walras.experiments.observing.examples import TOKENS, ExampleHead
from walras.experiments.observing.observe import ObserveResult
from walras.experiments.observing.reports import pictures
from walras.experiments.reports.plots import png


def labelled(axes: Any) -> dict[str, Any]:
    return {str(line.get_label()): line for line in axes.get_lines()}


def test_frontier(found: ObserveResult) -> None:
    """A row of panels a pattern; theoretical and measured figures are curves of their own."""
    axes = pictures.frontier(found.table, "top-k", "spearman $").axes
    assert [a.get_title() for a in axes] == [
        "constrained: first-half", "theoretical only, close up", "constrained: all", "theoretical only, close up",
    ]  # fmt: skip
    assert axes[0].get_xlabel() == "compute of a mean sequence [M MACs]"
    assert axes[0].get_ylabel() == "spearman $"
    lines = labelled(axes[2])
    assert set(lines) == {
        "top-k, theoretical", "random-k, theoretical", "top-k, measured", "token elimination, measured",
        "dense, theoretical", "dense, measured",
    }  # fmt: skip
    ours = found.table[(found.table["constrain"] == "all") & (found.table["control"] == "none")].sort_values("budget")
    assert lines["top-k, measured"].get_xdata().tolist() == (ours["measured_total"] / 1e6).tolist()
    assert lines["top-k, theoretical"].get_ydata().tolist() == ours["value"].tolist()
    assert len(lines["token elimination, measured"].get_xdata()) == 3
    assert not any("measured" in name for name in labelled(axes[3]))


def test_inequality_is_a_change_of_the_layers_that_are_free(found: ObserveResult) -> None:
    axes = pictures.inequality(found.table, "top-k", "keys a query").axes
    assert [a.get_title() for a in axes[::2]] == [
        "constrained: first-half; shown: unconstrained layers", "constrained: all; shown: constrained layers",
    ]  # fmt: skip
    assert [a.get_ylabel() for a in axes[:2]] == ["change of Gini", "change of entropy [nats]"]
    assert axes[0].get_xlabel() == "budget [keys a query]; scarcer to the right"
    half = found.table[found.table["constrain"] == "first-half"]
    base = half.loc[half["control"] == "unconstrained", "unconstrained_gini"].iloc[0]
    line = labelled(axes[0])[f"top-k ({base:.3f})"]
    ours = half[half["control"] == "none"].sort_values("budget")
    assert line.get_xdata().tolist() == [2, 4, 64]
    assert line.get_ydata() == pytest.approx((ours["unconstrained_gini"] - base).to_numpy())
    assert line.get_ydata()[-1] == pytest.approx(0, abs=1e-6)
    low, high = axes[0].get_xlim()
    assert low > high


def test_heads_are_dense_beside_sparse(found: ObserveResult) -> None:
    assert 1 <= len(found.examples) <= 6
    for s in found.examples:
        assert s.layer == 0  # the last one that the first pattern constrains
        assert s.dense.shape == s.sparse.shape == (len(s.tokens),) * 2
        assert 4 < len(s.tokens) <= TOKENS
        assert s.tokens[0] == "[CLS]"
        assert (s.dense > 0).all()
        assert ((s.sparse > 0).sum(-1) == 4).all()
        np.testing.assert_allclose(s.dense.sum(-1), 1, rtol=1e-6)
    axes = pictures.heat_maps(found.examples, "top-k", 4).axes
    assert [a.get_title() for a in axes[:2]] == ["layer 0, head 0: dense", "layer 0, head 0: top-k 4"]
    assert [t.get_text() for t in axes[0].get_xticklabels()] == list(found.examples[0].tokens)
    for a, weights in zip(axes, (found.examples[0].dense, found.examples[0].sparse), strict=False):
        drawn = a.get_images()[0].get_array()
        assert drawn is not None
        np.testing.assert_array_equal(np.ma.filled(drawn, 0), weights)


def test_tokens_with_dollars_are_no_formulas() -> None:
    some = np.eye(2)
    shown = ExampleHead(("$x$", "b"), 0, 0, some, some)
    figure = pictures.heat_maps([shown], "top-k", 1)
    png(figure)
    label = figure.axes[0].get_xticklabels()[0]
    assert (label.get_text(), label.get_parse_math()) == ("$x$", False)
