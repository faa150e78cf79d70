"""Leave-one-out, Shapley and interactions, against one pass a coalition and against all sets of a small network."""

from itertools import combinations
from math import comb
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification

from walras.agents import Calibration, LeaveOneOut, Shapley, pairwise
from walras.agents.calibration.coalitions import coalition_losses
from walras.errors import InputError
from walras.experiments.tasks.losses import Embeddings, Labels, Similarities
from walras.models import gated, inventory, macs
from walras.models.distillation import Distillation
from walras.models.objective import GivenLoss, ModelLoss, Objective

RANDOM = torch.Generator


SIZES: dict[str, Any] = {
    "vocab_size": 41, "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 16, "num_labels": 3,
}  # fmt: skip


def network() -> Any:
    torch.manual_seed(0)
    model: Any = BertForSequenceClassification(BertConfig(**SIZES)).double()
    model.eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model


MODEL = network()  # calibrations hold networks weakly


def batches() -> list[dict[str, Tensor]]:
    found = []
    for rows, length in ((4, 7), (6, 5)):
        seeded = RANDOM().manual_seed(rows)
        mask = torch.ones(rows, length, dtype=torch.long)
        mask[0, 3:] = 0
        found.append(
            {
                "input_ids": torch.randint(0, 41, (rows, length), generator=seeded), "attention_mask": mask,
                "labels": torch.randint(0, 3, (rows,), generator=seeded),
            }
        )  # fmt: skip
    return found


def calibrated(model: Any, objective: Objective, given: list[dict[str, Tensor]] | None = None) -> Calibration:
    units = inventory(model, block=6)  # 2 heads, 4 blocks
    return Calibration(model, units, objective, batches() if given is None else given, macs(model, units, 7).share)


def some_gates(n: int, count: int) -> Tensor:
    return (torch.rand(count, n, generator=RANDOM().manual_seed(1)) > 0.4).float()


def one_by_one(calibration: Calibration, objective: Objective, gates: Tensor) -> list[float]:
    found = []
    for row in gates:
        with torch.no_grad(), gated(calibration.model, calibration.inventory, row):
            losses = [float(objective(calibration.model, b, RANDOM().manual_seed(0))) for b in calibration.batches]
        found.append((4 * losses[0] + 6 * losses[1]) / 10)
    return found


def graded() -> list[dict[str, Tensor]]:
    """Pairs: half as many labels as rows."""
    return [{**b, "labels": torch.linspace(0, 1, len(b["labels"]) // 2, dtype=torch.float64)} for b in batches()]


@pytest.mark.parametrize("rows", [1, 13, 256])
def test_many_in_one_pass_are_what_each_is_alone(rows: int) -> None:
    model, objective = MODEL, Labels((0, 1, 2))
    calibration = calibrated(model, objective)
    gates = some_gates(6, 9)
    found = coalition_losses(calibration, gates, rows)
    assert found.tolist() == pytest.approx(one_by_one(calibration, objective, gates), abs=1e-12)
    assert "forward" not in vars(model)


def test_pairs_are_cut_up_as_pairs() -> None:
    model, objective = MODEL.bert, Similarities()
    calibration = calibrated(model, objective, graded())
    gates = some_gates(6, 5)
    expected = one_by_one(calibration, objective, gates)
    assert coalition_losses(calibration, gates).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "objective",
    [ModelLoss(), GivenLoss(lambda net, b: net.get_submodule("bert")(b["input_ids"]).last_hidden_state.sin().mean())],
)
def test_losses_that_look_elsewhere_take_a_pass_each(objective: Objective) -> None:
    calibration = calibrated(MODEL, objective)
    gates = some_gates(6, 4)
    assert coalition_losses(calibration, gates).tolist() == pytest.approx(one_by_one(calibration, objective, gates))


def test_without_labels_it_is_the_divergence_from_the_dense_network() -> None:
    model = MODEL.bert
    calibration = calibrated(model, Embeddings())
    gates = torch.cat([torch.ones(1, 6), some_gates(6, 3)])
    found = coalition_losses(calibration, gates)
    assert found[0].item() == pytest.approx(0, abs=1e-12)
    assert (found[1:] > 0).all()
    targets = [Distillation.from_dense(model, b) for b in calibration.batches]
    with torch.no_grad(), gated(model, calibration.inventory, gates[2]):
        by_hand = [float(t(model, b, RANDOM())) for t, b in zip(targets, calibration.batches, strict=True)]
    assert found[2].item() == pytest.approx((4 * by_hand[0] + 6 * by_hand[1]) / 10)


def every_set(calibration: Calibration, n: int) -> dict[frozenset[int], float]:
    sets = [frozenset(s) for k in range(n + 1) for s in combinations(range(n), k)]
    gates = torch.tensor([[float(i in s) for i in range(n)] for s in sets])
    return dict(zip(sets, (-coalition_losses(calibration, gates)).tolist(), strict=True))


def exact_shapley(worth: dict[frozenset[int], float], n: int) -> list[float]:
    others = [[s for s in worth if i not in s] for i in range(n)]
    return [
        sum((worth[s | {i}] - worth[s]) / (n * comb(n - 1, len(s))) for s in others[i]) for i in range(n)
    ]  # fmt: skip


def test_leave_one_out_by_hand() -> None:
    calibration = calibrated(MODEL, Labels((0, 1, 2)))
    worth = every_set(calibration, 6)
    full = frozenset(range(6))
    value = LeaveOneOut()(calibration, torch.ones(6), RANDOM())
    assert value.tolist() == pytest.approx([max(worth[full] - worth[full - {i}], 0) for i in range(6)], abs=1e-12)
    gone = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    there = full - {1, 4}
    value = LeaveOneOut()(calibration, gone, RANDOM())
    expected = [worth[there | {i}] - worth[there - {i}] for i in range(6)]
    assert value.tolist() == pytest.approx([max(v, 0) for v in expected], abs=1e-12)


@pytest.mark.parametrize("permutations", [16, pytest.param(200, marks=pytest.mark.nightly)])
def test_shapley_values_are_those_of_all_orders(permutations: int) -> None:
    """By the formula over all 64 sets; the sample lies within four standard errors, and adds up exactly."""
    calibration = calibrated(MODEL, Labels((0, 1, 2)))
    worth = every_set(calibration, 6)
    exact = torch.tensor(exact_shapley(worth, 6), dtype=torch.float64)
    for antithetic in (False, True):
        found = Shapley(permutations, antithetic).estimate(calibration, torch.ones(6), RANDOM().manual_seed(0))
        assert ((found.value - exact).abs() <= 4 * found.error).all()
        assert (found.error < 1.4 / permutations**0.5 * exact.abs().max()).all()
        assert found.value.sum().item() == pytest.approx(worth[frozenset(range(6))] - worth[frozenset()])
        assert found.coalitions == 2 + permutations * (1 + antithetic) * 5
    assert (Shapley(4)(calibration, torch.ones(6), RANDOM().manual_seed(0)) >= 0).all()
    assert Shapley(1).estimate(calibration, torch.ones(6), RANDOM()).error.isnan().all()


def test_the_shapley_value_of_those_that_are_left() -> None:
    calibration = calibrated(MODEL, Labels((0, 1, 2)))
    gates = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    found = Shapley(4).estimate(calibration, gates, RANDOM().manual_seed(0))
    assert found.value[[1, 4]].tolist() == [0, 0]
    value = Shapley(2)(calibration, gates, RANDOM().manual_seed(0))
    assert value[[1, 4]].tolist() == LeaveOneOut()(calibration, gates, RANDOM())[[1, 4]].tolist()


def test_the_shapley_value_of_heads_alone() -> None:
    """Two players: the mean of two marginal values, exactly, with the blocks always there."""
    calibration = calibrated(MODEL, Labels((0, 1, 2)))
    worth, blocks = every_set(calibration, 6), frozenset({2, 3, 4, 5})
    heads = torch.tensor([True, True, False, False, False, False])
    found = Shapley(3).estimate(calibration, torch.ones(6), RANDOM().manual_seed(0), heads)
    alone = worth[blocks | {0}] - worth[blocks]
    last = worth[blocks | {0, 1}] - worth[blocks | {1}]
    assert found.value[0].item() == pytest.approx((alone + last) / 2, abs=1e-12)
    assert found.value[2:].tolist() == [0] * 4
    assert found.error.abs().max().item() == pytest.approx(0, abs=1e-12)


def test_interactions_are_second_differences() -> None:
    calibration = calibrated(MODEL, Labels((0, 1, 2)))
    worth, full = every_set(calibration, 6), frozenset(range(6))
    found = pairwise(calibration, torch.ones(6))
    for i, j in combinations(range(6), 2):
        expected = worth[full] - worth[full - {i}] - worth[full - {j}] + worth[full - {i, j}]
        assert found[i, j].item() == pytest.approx(expected, abs=1e-12)
        assert found[j, i] == found[i, j]
    assert found.diagonal().tolist() == [0] * 6
    some = pairwise(calibration, torch.ones(6), [4, 1])
    assert some[0, 1].item() == pytest.approx(found[1, 4].item(), abs=1e-12)


def test_two_copies_are_substitutes() -> None:
    """Two blocks that write the same little: with the squared change of the outputs as loss, both gone cost four times
    what one does, 1 + 1 - 4 = -2."""
    model = network()
    ffn = model.bert.encoder.layer[0]
    with torch.no_grad():
        ffn.output.dense.weight *= 1e-4
        for weight in (ffn.intermediate.dense.weight, ffn.intermediate.dense.bias, ffn.output.dense.weight.T):
            weight[6:12] = weight[:6]
        given = [{k: v for k, v in b.items() if k != "labels"} for b in batches()]
        dense = {id(b): model(**b).logits for b in given}
    loss = GivenLoss(lambda net, b: (net(**b).logits - dense[id(b)]).square().sum(-1).mean())
    calibration = calibrated(model, loss, given)
    alone = LeaveOneOut()(calibration, torch.ones(6), RANDOM())
    found = pairwise(calibration, torch.ones(6), [2, 3])
    assert alone[2].item() == pytest.approx(alone[3].item(), rel=1e-6)
    assert found[0, 1].item() == pytest.approx(-2 * alone[2].item(), rel=1e-2)


def test_bad_input() -> None:
    calibration = calibrated(MODEL, Labels((0, 1, 2)))
    with pytest.raises(InputError, match="units are"):
        pairwise(calibration, torch.ones(6), [1, 1])
    with pytest.raises(InputError, match="units are"):
        pairwise(calibration, torch.tensor([1.0, 0.0, 1, 1, 1, 1]), [0, 1])
    with pytest.raises(InputError, match="permutations is 0"):
        Shapley(0)
    broken = calibrated(MODEL, GivenLoss(lambda net, b: net(**b).loss * float("nan")))
    with pytest.raises(InputError, match="loss of a coalition is nan"):
        coalition_losses(broken, torch.ones(1, 6))
