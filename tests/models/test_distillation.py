"""The divergence of a network's predictions from the dense network's, against sums written out by hand."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models import gated, inventory
from walras.models.distillation import SCALE, Distillation
from walras.models.pooling import mean_pooled

NOBODY = torch.Generator()


class Says(nn.Module):
    """Answers what it is told to, times a parameter that gradients can be taken of."""

    def __init__(self, **outputs: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.outputs = outputs

    def forward(self, **batch: Tensor) -> Any:
        assert "labels" not in batch
        return SimpleNamespace(**{name: tensor * self.weight for name, tensor in self.outputs.items()})


def divergence(p: list[float], q: list[float], temperature: float) -> float:
    """T^2 KL(softmax(p / T) || softmax(q / T))."""
    a, b = ([math.exp(x / temperature) for x in row] for row in (p, q))
    return temperature**2 * sum(x / sum(a) * math.log(x / sum(a) / (y / sum(b))) for x, y in zip(a, b, strict=True))


def measured(dense: nn.Module, now: nn.Module, batch: dict[str, Tensor], rows: int = 1, temperature: float = 2) -> Any:
    return Distillation.from_dense(dense, batch, rows, temperature)(now, batch, NOBODY)


def double(rows: Any) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


P, Q = [[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]], [[0.0, 1.0, 0.0], [2.0, 2.0, -1.0]]
BATCH = {"input_ids": torch.ones(2, 3, dtype=torch.int64), "labels": torch.zeros(2)}


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_classes(temperature: float) -> None:
    found = measured(Says(logits=double(P)), Says(logits=double(Q)), BATCH, temperature=temperature)
    expected = sum(divergence(p, q, temperature) for p, q in zip(P, Q, strict=True)) / 2
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_tokens_count_equally_within_a_row_and_rows_equally_padding_left_out() -> None:
    p, q = [[P[0], P[1], P[0]], [P[1], P[1], P[0]]], [[Q[0], Q[1], Q[1]], [P[1], Q[0], Q[1]]]
    batch = {"input_ids": BATCH["input_ids"], "attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1]])}
    found = measured(Says(logits=double(p)), Says(logits=double(q)), batch)
    first = (divergence(P[0], Q[0], 2) + divergence(P[1], Q[1], 2)) / 2
    second = (divergence(P[1], Q[0], 2) + divergence(P[0], Q[1], 2)) / 3
    assert found.item() == pytest.approx((first + second) / 2, rel=1e-12)


def test_one_output_is_a_squared_difference() -> None:
    found = measured(Says(logits=double([[1.0], [3.0]])), Says(logits=double([[2.0], [0.0]])), BATCH)
    assert found.item() == pytest.approx((1 + 9) / 2 / 2, rel=1e-12)


def test_embeddings_are_told_from_the_other_texts_of_the_batch() -> None:
    """Three texts of one token and a padded one; cosines by hand."""

    def network(angles: list[float]) -> Says:
        unit = [[[5 * math.cos(a), 5 * math.sin(a)], [7.0, 7.0]] for a in angles]
        return Says(last_hidden_state=double(unit))

    before, after = [0.0, 0.4, 1.1], [0.0, 0.9, 1.0]
    batch = {"input_ids": torch.ones(3, 2, dtype=torch.int64), "attention_mask": torch.tensor([[1, 0]] * 3)}
    found = measured(network(before), network(after), batch)
    expected = 0.0
    for i in range(3):
        others = [j for j in range(3) if j != i]
        p, q = ([SCALE * math.cos(a[i] - a[j]) for j in others] for a in (before, after))
        expected += divergence(p, q, 2) / 3
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_a_text_alone_in_its_batch_diverges_by_nothing() -> None:
    network, batch = Says(last_hidden_state=torch.ones(1, 2, 4)), {"input_ids": torch.ones(1, 2)}
    found = measured(network, Says(last_hidden_state=torch.rand(1, 2, 4)), batch)
    assert found.item() == 0
    assert found.requires_grad


@pytest.mark.parametrize("name", ["bert", "distilbert", "gpt2", "llama", "vit", "embeddings"])
def test_no_divergence_from_itself_and_none_to_first_order(name: str, tiny: Any) -> None:
    tested = tiny("bert" if name == "embeddings" else name, dtype=torch.float64)
    model = tested.model.base_model if name == "embeddings" else tested.model
    units = inventory(model, block=8)
    gates = torch.ones(len(units), dtype=torch.float64, requires_grad=True)
    objective = Distillation.from_dense(model, tested.batch)
    with gated(model, units, gates):
        same = objective(model, tested.batch, NOBODY)
    (slope,) = torch.autograd.grad(same, gates)
    assert abs(same.item()) < 1e-12
    assert float(slope.abs().max()) < 1e-6
    other = torch.rand(len(units), generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    with gated(model, units, other):
        apart = objective(model, tested.batch, NOBODY)
    (slope,) = torch.autograd.grad(apart, other)
    assert apart.item() > 1e-9
    assert bool(slope.isfinite().all())
    assert float(slope.abs().max()) > 1e-6


def test_rows_do_not_touch_each_other(tiny: Any) -> None:
    """The gradient of one text's gates is that of its own divergence alone, the others standing still."""
    tested = tiny("bert", dtype=torch.float64)
    model = tested.model.base_model
    units = inventory(model, block=8)
    objective = Distillation.from_dense(model, tested.batch)
    torch.manual_seed(1)
    gates = torch.rand(4, len(units), dtype=torch.float64).requires_grad_()
    with torch.no_grad():
        before = mean_pooled(model, tested.batch)
    with gated(model, units, gates):
        (slopes,) = torch.autograd.grad(objective(model, tested.batch, NOBODY), gates)
        now = mean_pooled(model, tested.batch)
    still = now.detach()
    for row in range(4):
        others = [j for j in range(4) if j != row]
        p = (SCALE * before[others] @ before[row] / 2).softmax(0)
        q = (SCALE * still[others] @ now[row] / 2).log_softmax(0)
        own = 4 * (p * (p.log() - q)).sum() / 4
        (slope,) = torch.autograd.grad(own, gates, retain_graph=True)
        torch.testing.assert_close(slopes[row], slope[row], rtol=1e-5, atol=1e-9)


def test_bad_input() -> None:
    network = Says(logits=double(P))
    for temperature in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match=f"temperature is {temperature}; it must be a number above 0"):
            Distillation.from_dense(network, BATCH, temperature=temperature)
    with pytest.raises(InputError, match="SimpleNamespace have neither logits nor last_hidden_state"):
        Distillation.from_dense(Says(pooler_output=double(P)), BATCH)
    with pytest.raises(InputError, match=r"shape \(1, 3\) on a batch whose target has \(2, 3\)"):
        Distillation.from_dense(network, BATCH)(Says(logits=double(P[:1])), BATCH, NOBODY)
