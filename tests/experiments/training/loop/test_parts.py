"""Pieces of a training run: rows, checkpoints, and units that settle."""

import json
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from walras.errors import InputError
from walras.experiments.tasks.classification import Classification
from walras.experiments.tasks.data.rows import Example
from walras.experiments.training.loop.checkpoint import (
    check_shapes,
    newest_checkpoint,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from walras.experiments.training.loop.rows import Batches, split
from walras.experiments.training.price.economy import MIN_KEPT_GATE, OPEN, Economy
from walras.market.pricing import Cleared, DualAscent, ShadowPricing, Tax
from walras.mechanisms import ShadowPrice
from walras.models.units.hard_concrete import HardConcrete


def task(rows: int) -> Classification:
    examples = [Example("x" * (1 + i % 7), None, i % 2) for i in range(rows)]
    return Classification("sst2", "accuracy", ("a", "b"), examples, examples[:4])


class Recording(list[Any]):
    """Stands for a tokenizer, whose tokens are the letters x: what it is asked for is kept."""

    model_input_names = ("input_ids",)

    def __call__(self, texts: list[str], *_: Any, **__: Any) -> dict[str, torch.Tensor]:
        self.append(texts)
        return {"input_ids": torch.zeros(len(texts), max(text.count("x") for text in texts), dtype=torch.long)}


def drawn(rows: Classification, steps: list[int], **options: int) -> list[list[str]]:
    """The texts of batches of 8 rows."""
    seen = Recording()
    batches = Batches(rows, seen, 8, 16, seed=1, **options)
    seen.clear()  # rows are measured one by one before
    for step in steps:
        batches.at(step)
    return list(seen)


def test_held_out_rows_are_none_of_those_trained_on() -> None:
    whole = task(50)
    found = split(whole, 0.2, None, seed=0)
    train, held = found.pool(), found.dev  # type: ignore[attr-defined]  # of this task
    assert (len(train), len(held)) == (40, 10)
    assert {id(e) for e in train}.isdisjoint({id(e) for e in held})
    assert {id(e) for e in (*train, *held)} == {id(e) for e in whole.train}
    assert len(split(whole, 0.2, 20, seed=0).pool()) == 16
    with pytest.raises(InputError, match=r"1 training row\(s\) are left of 2"):
        split(whole, 0.5, 2, seed=0)


def test_an_epoch_goes_once_through_the_rows_and_any_batch_can_be_had_alone() -> None:
    batches = Batches(task(50), Recording(), 8, 16, seed=1)
    assert batches.epoch == 6
    labels = [batches.at(step)["labels"].tolist() for step in range(6)]
    assert Batches(task(50), Recording(), 8, 16, seed=1).at(4)["labels"].tolist() == labels[4]
    first = drawn(task(50), [*range(6)])
    assert sum(len(texts) for texts in first) == 48
    assert drawn(task(50), [*range(6, 12)]) != first  # another order


def test_rows_of_as_many_tokens_share_a_batch_however_long_their_texts() -> None:
    examples = [Example("x" * (1 + i % 6) + "." * ((7 * i) % 48), None, i % 2) for i in range(48)]
    batches = drawn(Classification("sst2", "accuracy", ("a", "b"), examples, examples[:4]), [*range(6)])
    assert [len({text.count("x") for text in batch}) for batch in batches] == [1] * 6
    assert all(len({len(text) for text in batch}) > 2 for batch in batches)


def test_processes_share_a_batch() -> None:
    (whole,) = drawn(task(40), [3])
    parts = [drawn(task(40), [3], process=i, processes=2)[0] for i in range(2)]
    assert sorted(whole) == sorted(parts[0] + parts[1])
    with pytest.raises(InputError, match="8 rows do not divide among 3 processes"):
        drawn(task(40), [3], processes=3)


def test_checkpoints_there_and_back(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    weight.sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    optimizer.step()
    groups: dict[str, dict[str, torch.Tensor]] = {
        "model": {"w": weight},
        "optimizer": optimizer_tensors(optimizer),
        "none": {},
    }
    save_checkpoint(tmp_path, 7, groups, {"step": 7})
    save_checkpoint(tmp_path, 12, groups, {"step": 12})
    assert [p.name for p in tmp_path.iterdir()] == ["step-0000012"]
    place = newest_checkpoint(tmp_path)
    assert place is not None
    tensors, state = read_checkpoint(place)
    assert state == {"step": 12}
    assert torch.equal(tensors["model"]["w"], weight)
    other = torch.nn.Parameter(weight.detach().clone())
    fresh = torch.optim.AdamW([other], lr=0.1)
    restore_optimizer(fresh, tensors["optimizer"])
    for parameter, stepping in ((weight, optimizer), (other, fresh)):
        parameter.grad = torch.tensor([0.3, -1.0, 2.0])
        stepping.step()
    assert torch.equal(weight, other)


def test_a_checkpoint_that_is_torn(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, 1, {"model": {"w": torch.ones(1)}}, {})
    place = newest_checkpoint(tmp_path)
    assert place == tmp_path / "step-0000001"
    (place / "state.json").write_text("{")
    with pytest.raises(InputError, match=r"'.*state\.json' was changed after the checkpoint was written"):
        read_checkpoint(place)
    (place / "hashes.json").unlink()  # as earlier versions left it
    with pytest.raises(InputError, match="cannot read checkpoint"):
        read_checkpoint(place)
    (place / "state.json").write_text(json.dumps({}))
    (place / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="cannot read checkpoint"):
        read_checkpoint(place)


def test_tensors_of_another_network() -> None:
    wanted = {"w": torch.ones(3, 2)}
    check_shapes({"w": torch.zeros(3, 2), "more": torch.ones(1)}, wanted, "checkpoint 'c'")
    with pytest.raises(InputError, match=r"checkpoint 'c': w has shape \[1\]; the network's has \[3, 2\]"):
        check_shapes({"w": torch.ones(1)}, wanted, "checkpoint 'c'")  # copy_ would spread it over all of them
    with pytest.raises(InputError, match="checkpoint 'c' has no 'w'"):
        check_shapes({}, wanted, "checkpoint 'c'")


SHARE = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)


def economy(logits: list[float], pricing: Any) -> Economy:
    return Economy(HardConcrete(torch.tensor(logits)), pricing, SHARE)


def test_without_a_budget_all_that_are_open_stay() -> None:
    keep, gates = economy([9.0, -9.0, 9.0, -9.0], Tax(0.1)).settle(0.5)
    assert keep.tolist() == [True, False, True, False]
    assert gates.tolist() == [1, 1, 1, 1]  # who leaves is cut out, not scaled


def test_for_a_budget_the_likeliest_that_fit_stay() -> None:
    keep, gates = economy([2.0, 3.0, 0.5, 1.0], DualAscent(0.6, 1.0)).settle(0.6)
    assert float(SHARE @ keep.double()) <= 0.6
    assert keep.tolist()[:2] == [True, True]
    assert 0 < gates[0] < gates[1] <= 1


def test_who_cannot_be_removed_stays_and_its_compute_is_not_for_sale() -> None:
    held = economy([3.0, 3.0, 3.0, -9.0], DualAscent(0.6, 1.0))
    held.gates.fix(torch.tensor([False, False, False, True]), 1.0)
    assert held.reserved == pytest.approx(0.4)
    keep, _ = held.settle(0.7)
    assert keep[3]
    assert float(SHARE @ keep.double()) <= 0.7 + 1e-6
    priced = Economy(held.gates, ShadowPricing(0.6), SHARE).step(1.0)
    assert priced.cost.item() == pytest.approx(0.6, abs=1e-5)


def market(rounds: int, budget: float, share: torch.Tensor) -> Economy:
    gates = HardConcrete(torch.full((len(share),), 3.0))
    return Economy(gates, Cleared.from_schedule(ShadowPrice(), budget, rounds), share)


def test_who_has_left_a_market_does_not_come_back_for_what_is_left_over() -> None:
    """The two small units come first, and there would be room for them: they are worth nothing."""
    found = market(1, 0.5, torch.tensor([0.05, 0.05, 0.3, 0.3, 0.3], dtype=torch.float64))
    found.clear(torch.tensor([0.0, 0.0, 0.9, 0.8, 0.7]))
    assert found.gates.fixed.tolist()[:2] == [0, 0]
    keep, _ = found.settle(0.5)
    assert keep.tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("units", [360, 1296])
def test_the_whole_budget_keeps_every_unit(units: int) -> None:
    """In float32 the shares of such networks come to more than 1."""
    share = torch.rand(units, generator=torch.Generator().manual_seed(units), dtype=torch.float64) + 0.5
    found = market(1, 1.0, share / share.sum())
    found.clear(torch.rand(units))
    keep, _ = found.settle(1.0)
    assert bool(keep.all())


def test_a_market_sells_to_the_taxed_what_the_others_leave() -> None:
    found = market(1, 0.7, SHARE)
    found.gates.fix(torch.tensor([False, False, False, True]), 1.0)
    found.clear(torch.tensor([0.3, 0.2, 0.9, 0.0]))  # 3, 1 and 3 a unit of compute: 0.3 is for sale
    assert found.gates.fixed.tolist()[1:] == [0, 0, 1]
    assert found.gates.free.tolist() == [True, False, False, False]
    assert found.pricing.price == pytest.approx(3.0)
    assert found.settle(0.7)[0].tolist() == [True, False, False, True]


def test_who_stays_is_ajar_at_least() -> None:
    keep, gates = economy([-4.0, -4.0, -4.0, -5.0], DualAscent(0.6, 1.0)).settle(0.6)
    assert keep.tolist() == [True, True, True, False]
    assert gates.tolist() == pytest.approx([MIN_KEPT_GATE, MIN_KEPT_GATE, MIN_KEPT_GATE, 1.0])


def test_gates_begin_open_and_in_the_order_of_value_per_compute() -> None:
    class Units:
        kind = np.array(["head", "head", "ffn", "ffn"])

    value = torch.tensor([0.1, 0.6, 0.3, 4.0])  # 1, 3, 1, 10 a unit of compute; ties by position
    made = Economy.start(Units(), SHARE, Tax(0.1), None, value)  # type: ignore[arg-type]  # it looks at kinds alone
    assert made.gates.logits.argsort().tolist() == [0, 2, 1, 3]
    assert made.gates.logits.mean().item() == pytest.approx(log(OPEN / (1 - OPEN)), abs=1e-5)
    alike = Economy.start(Units(), SHARE, Tax(0.1), "head", None)  # type: ignore[arg-type]
    assert alike.gates.chance(alike.gates.logits).tolist() == pytest.approx([OPEN, OPEN, 1.0, 1.0])
