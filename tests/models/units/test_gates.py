import copy
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from walras.errors import InputError
from walras.models import Inventory, attach, compact, gated, inventory
from walras.models.units.gates import attach_in_training, hooked

prune_smallest: Any = prune.l1_unstructured  # torch gives it no types


def nightly(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.nightly)


def _hooks(model: nn.Module) -> int:
    return sum(len(module._forward_pre_hooks) for module in model.modules())


def _random_gates(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1.5


@pytest.mark.spread
@pytest.mark.parametrize("block", [nightly(1), 7, nightly(32)])
def test_ones_leave_the_logits_exactly_equal(every_family: str, attention: str, block: int, tiny: Any) -> None:
    tested = tiny(every_family, attention)
    units = inventory(tested.model, block=block)
    with torch.no_grad():
        dense = tested.logits()
        for gates, rows in (
            (torch.ones(len(units)), 1),
            (torch.ones(4, len(units)), 1),
            (torch.ones(2, len(units), dtype=torch.float64), 2),
        ):
            with gated(tested.model, units, gates, rows):
                assert torch.equal(tested.logits(), dense)


def test_gradients_reach_every_gate_and_are_right(family: str, kernel: str, tiny: Any) -> None:
    tested = tiny(family, kernel, torch.float64)
    units = inventory(tested.model, block=8)
    gates = _random_gates(len(units)).requires_grad_()

    def loss(at: Tensor) -> Tensor:
        with gated(tested.model, units, at):
            result: Tensor = tested.logits().square().mean()
        return result

    (slope,) = torch.autograd.grad(loss(gates), gates)
    assert bool((slope != 0).all())
    assert bool(torch.isfinite(slope).all())
    with torch.no_grad():
        for unit in range(0, len(units), 5):  # a central difference
            step = torch.zeros_like(gates)
            step[unit] = 1e-3
            measured = (loss(gates + step) - loss(gates - step)) / 2e-3
            # Softmax in float32 and the kinks of ReLU bound what a difference can tell.
            torch.testing.assert_close(measured, slope[unit], rtol=0.01, atol=1e-3 * float(slope.abs().max()))


def test_the_same_with_gradients_and_without(family: str, kernel: str, tiny: Any) -> None:
    tested = tiny(family, kernel)
    units = inventory(tested.model, block=8)
    for gates in (_random_gates(len(units)), _random_gates(4, len(units))):
        with gated(tested.model, units, gates):
            with_gradients = tested.logits().detach()
            with torch.no_grad():
                assert torch.equal(tested.logits(), with_gradients)


@pytest.mark.parametrize("rows", [nightly(1), 2])
def test_gates_of_their_own_equal_a_loop_over_samples(family: str, kernel: str, rows: int, tiny: Any) -> None:
    tested = tiny(family, kernel, torch.float64)
    units = inventory(tested.model, block=7)
    gates = _random_gates(4 // rows, len(units)).requires_grad_()
    with gated(tested.model, units, gates, rows):
        together = tested.logits()
    (slopes,) = torch.autograd.grad(together.square().sum(), gates)
    for sample in range(len(gates)):
        own = gates[sample].detach().requires_grad_()
        part = {name: x[sample * rows : (sample + 1) * rows] for name, x in tested.batch.items()}
        with gated(tested.model, units, own):
            alone = tested.logits(**part)
        (slope,) = torch.autograd.grad(alone.square().sum(), own)
        torch.testing.assert_close(together[sample * rows : (sample + 1) * rows], alone, rtol=0, atol=2e-6)
        torch.testing.assert_close(slopes[sample], slope, rtol=1e-5, atol=1e-5)
    wrong = gates.detach().flip(0)
    with torch.no_grad(), gated(tested.model, units, wrong, rows):
        assert float((tested.logits() - together).abs().max()) > 1e-3


def gated_in_training(model: nn.Module, units: Inventory, gates: Tensor) -> AbstractContextManager[None]:
    return hooked(attach_in_training(model, units, gates).handles)


@pytest.mark.parametrize("rows", [1, 16])  # fewer tokens than a projection has outputs, and more
def test_in_training_outputs_and_all_gradients_are_the_same(every_family: str, rows: int, tiny: Any) -> None:
    tested = tiny(every_family, "eager", torch.float64)
    units = inventory(tested.model, block=7)
    batch = {name: x[[row % len(x) for row in range(rows)]] for name, x in tested.batch.items()}
    weights = [parameter for parameter in tested.model.parameters() if parameter.requires_grad]
    gates = _random_gates(len(units)).requires_grad_()
    found = []
    for context in (gated, gated_in_training):
        with context(tested.model, units, gates):
            outputs = tested.logits(**batch)
            slopes = torch.autograd.grad(outputs.square().mean(), [gates, *weights], allow_unused=True)
        found.append([outputs, *(slope for slope in slopes if slope is not None)])
    assert len(found[0]) == len(found[1]) > 2
    close = 1e-6 * max(float(one.abs().max()) for one in found[0][1:])  # the gradient of a key's bias is 0
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=close)
    with torch.no_grad(), gated_in_training(tested.model, units, gates):
        torch.testing.assert_close(tested.logits(**batch), found[0][0], rtol=1e-5, atol=1e-6)


def test_in_training_maps_that_are_more_than_a_weight_keep_what_they_add(tiny: Any) -> None:
    """Weights that are computed, and a forward that somebody else has put on."""
    tested = tiny("bert", "eager", torch.float64)
    units = inventory(tested.model)
    layers = tested.model.bert.encoder.layer
    nn.utils.parametrizations.weight_norm(layers[0].output.dense)
    prune_smallest(layers[1].output.dense, "weight", 0.5)
    attention = layers[0].attention.output.dense
    original = attention.forward
    attention.forward = lambda x: original(x) + 1
    gates = _random_gates(len(units))
    batch = {name: torch.cat([x] * 8) for name, x in tested.batch.items()}
    with gated(tested.model, units, gates):
        expected = tested.logits(**batch)
    with gated_in_training(tested.model, units, gates):
        torch.testing.assert_close(tested.logits(**batch), expected)


def test_in_training_nothing_is_left_on_the_network(tiny: Any) -> None:
    tested = tiny("bert")
    units = inventory(tested.model)
    before = tested.logits()
    with gated_in_training(tested.model, units, torch.zeros(len(units))):
        assert not torch.equal(tested.logits(), before)
    with pytest.raises(ZeroDivisionError), gated_in_training(tested.model, units, torch.zeros(len(units))):
        raise ZeroDivisionError
    assert torch.equal(tested.logits(), before)
    assert not any("forward" in vars(module) for module in tested.model.modules())


def test_in_training_a_copy_has_gates_of_its_own(tiny: Any) -> None:
    tested = tiny("bert")
    units = inventory(tested.model)
    before, gates = tested.logits(), torch.ones(len(units))
    with gated_in_training(tested.model, units, gates):
        copied = copy.deepcopy(tested.model)
        gates.zero_()
        assert not torch.equal(tested.logits(), before)
        torch.testing.assert_close(copied(**tested.batch).logits, before)
    torch.testing.assert_close(copied(**tested.batch).logits, before)


def test_gates_are_read_at_every_forward_pass(tiny: Any) -> None:
    tested = tiny("bert")
    units = inventory(tested.model)
    gates = torch.ones(len(units), requires_grad=True)
    with gated(tested.model, units, gates):
        first = tested.logits()
        first.sum().backward()
        tested.logits().sum().backward()  # a second graph over the same gates
        with torch.no_grad():
            gates.fill_(0.5)
        assert not torch.allclose(tested.logits(), first)


def test_hooks_are_gone_afterwards_also_after_an_error(family: str, tiny: Any) -> None:
    tested = tiny(family)
    units = inventory(tested.model)
    before = tested.logits()
    with gated(tested.model, units, torch.zeros(len(units))):
        assert _hooks(tested.model) == 6
    assert _hooks(tested.model) == 0
    with pytest.raises(ZeroDivisionError), gated(tested.model, units, torch.zeros(len(units))):
        raise ZeroDivisionError
    assert _hooks(tested.model) == 0
    attached = attach(tested.model, units, torch.zeros(len(units)))
    assert not torch.equal(tested.logits(), before)
    attached.remove()
    attached.remove()
    assert torch.equal(tested.logits(), before)


def test_generation_with_a_cache_equals_without(decoder: str, tiny: Any) -> None:
    tested = tiny(decoder)
    units = inventory(tested.model, block=8)
    prompt = {name: x[:1, :5] for name, x in tested.batch.items()}
    told = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    with gated(tested.model, units, _random_gates(len(units))):
        cached = tested.model.generate(**prompt, **told, use_cache=True)
        plain = tested.model.generate(**prompt, **told, use_cache=False)
    assert cached.shape == (1, 11)
    assert torch.equal(cached, plain)


@pytest.mark.parametrize("name", ["bert", "opt", "llama"])
def test_autocast(name: str, tiny: Any) -> None:
    tested = tiny(name)
    units = inventory(tested.model, block=8)
    gates = torch.ones(4, len(units), requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        dense = tested.logits()
        with gated(tested.model, units, gates):
            assert torch.equal(tested.logits(), dense)
            tested.logits().float().square().sum().backward()
    assert gates.grad is not None
    assert bool((gates.grad != 0).all())


def test_bad_gates_are_refused_by_value(tiny: Any) -> None:
    model = tiny("bert").model
    units = inventory(model)
    n = len(units)
    nan = torch.ones(2, n)
    nan[1, 4] = torch.nan
    bad: list[tuple[Any, Any, str]] = [
        (torch.ones(n + 1), 1, rf"\({n + 1},\).*\[{n}\] or \[samples, {n}\]"),
        (torch.ones(1, 1, n), 1, "shape"),
        (torch.ones(0, n), 1, "0 samples"),
        ([1.0] * n, 1, "list"),
        (nan, 1, "gate of L0.F0 is not finite"),
        (torch.full((n,), torch.inf), 1, "gate of L0.H0 is not finite"),
        (torch.ones(n), 0, "rows = 0"),
        (torch.ones(n), 1.5, "rows = 1.5"),
    ]
    for gates, rows, message in bad:
        with pytest.raises(InputError, match=message):
            attach(model, units, gates, rows)
        assert _hooks(model) == 0


@pytest.mark.parametrize("name", ["bert", "opt"])
def test_a_batch_of_another_size_is_refused(name: str, tiny: Any) -> None:
    tested = tiny(name)
    units = inventory(tested.model)
    with (
        pytest.raises(InputError, match="3 samples of 2 rows are 6 rows, not 4"),
        gated(tested.model, units, torch.ones(3, len(units)), rows=2),
    ):
        tested.logits()
    with (  # twice as many rows must not pass for flattened positions
        pytest.raises(InputError, match="2 samples of 1 rows are 2 rows, not 4"),
        gated(tested.model, units, torch.ones(2, len(units))),
    ):
        tested.logits()


def test_an_inventory_of_another_model_is_refused(tiny: Any) -> None:
    model = tiny("bert").model
    units = inventory(model, block=8)
    keep = torch.ones(len(units), dtype=torch.bool)
    keep[0] = False
    with pytest.raises(InputError, match=r"layer.0.attention.output.dense has 18 .* has 24"):
        attach(compact(model, units, keep), units, torch.ones(len(units)))
    with pytest.raises(InputError, match=r"no module 'bert\.encoder"):
        attach(tiny("gpt2").model, units, torch.ones(len(units)))
