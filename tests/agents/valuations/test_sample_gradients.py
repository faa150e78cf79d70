"""Fisher and gradient values, and how they leave the network that they were measured on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

import pytest
import torch
from torch import Tensor, nn

from walras.agents import Calibration, Fisher, Gradient, Valuation
from walras.errors import InputError
from walras.models import gated
from walras.models.objective import Batch, GivenLoss, Objective, squared_distance


def spread(model: nn.Module, batch: Batch) -> Tensor:
    """A loss whose samples do not touch each other."""
    logits: Tensor = model(**batch).logits
    return (logits.square().sum(-1) + logits.sin().sum(-1)).mean()


def pair_distance(model: nn.Module, batch: Batch) -> Tensor:
    """A loss of pairs of rows."""
    logits: Tensor = model(**batch).logits
    return (logits[::2] - 0.5 * logits[1::2]).square().sum(-1).mean()


LOSSES = [GivenLoss(spread), GivenLoss(pair_distance, rows=2)]
FORMULAS: list[tuple[Valuation, Callable[[Tensor], Tensor]]] = [
    (Fisher(), lambda g: g.square().mean(0)),
    (Gradient(), lambda g: g.abs().mean(0)),
]


def brute_force(network: Any, objective: Objective, gates: Tensor) -> Tensor:
    """Gradients [samples, n], one sample at a time, of one gate vector that the whole network shares."""
    found: list[Tensor] = []
    for batch in network.batches:
        for first in range(0, len(next(iter(batch.values()))), objective.rows):
            sample = {name: tensor[first : first + objective.rows] for name, tensor in batch.items()}
            shared = gates.clone().requires_grad_()
            with gated(network.model, network.units, shared):
                loss = objective(network.model, sample, torch.Generator())
            found += torch.autograd.grad(loss, shared)
    return torch.stack(found)


@pytest.mark.spread
@pytest.mark.parametrize("objective", LOSSES, ids=["rows1", "rows2"])
@pytest.mark.parametrize(("valuation", "formula"), FORMULAS, ids=["fisher", "gradient"])
def test_values_equal_a_loop_over_samples(
    network: Any, valuation: Valuation, formula: Any, objective: Objective, generator: torch.Generator
) -> None:
    each = brute_force(network, objective, network.gates)
    value = valuation(network.calibration(objective), network.gates, generator)
    assert value.dtype == torch.float64
    assert bool((value > 0).all())
    torch.testing.assert_close(value, formula(each), rtol=1e-6, atol=0)
    # Batches of 4 and 2 samples: every sample counts the same, not every batch.
    larger = len(each) * 2 // 3
    whole: Tensor = (formula(each[:larger]) + formula(each[larger:])) / 2
    assert not torch.allclose(value, whole, rtol=1e-3)


@pytest.mark.spread
@pytest.mark.parametrize(("valuation", "formula"), FORMULAS, ids=["fisher", "gradient"])
def test_units_whose_gate_is_closed_have_a_value_too(
    network: Any, valuation: Valuation, formula: Any, generator: torch.Generator
) -> None:
    gates = network.gates
    gates[::2] = 0
    value = valuation(network.calibration(LOSSES[0]), gates, generator)
    torch.testing.assert_close(value, formula(brute_force(network, LOSSES[0], gates)), rtol=1e-6, atol=0)
    assert bool((value[::2] > 0).all())


def test_the_fisher_information_of_one_output_is_its_squared_derivative(
    one_output: Any, generator: torch.Generator
) -> None:
    """Of a label-free loss, whose sign is random: for one output the square does not depend on it."""

    @final
    @dataclass(frozen=True)
    class Movement(Objective):
        unit: ClassVar[str] = "squared output"

        def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            return squared_distance(model(**batch).logits, generator)

    def output(model: nn.Module, batch: Batch) -> Tensor:
        logits: Tensor = model(**batch).logits
        return logits.mean()

    slopes = brute_force(one_output, GivenLoss(output), one_output.gates)
    value = Fisher()(one_output.calibration(Movement()), one_output.gates, generator)
    torch.testing.assert_close(value, slopes.square().mean(0), rtol=1e-6, atol=0)


def settings(model: nn.Module) -> list[tuple[str, bool]]:
    """What a valuation has no business to change."""
    flags = [(name, p.requires_grad) for name, p in model.named_parameters()]
    hooks = [(name, bool(m._forward_pre_hooks)) for name, m in model.named_modules()]
    return flags + hooks + [(name, m.training) for name, m in model.named_modules()]


def unusual(model: nn.Module) -> list[tuple[str, bool]]:
    """Training, but for one frozen part and one part in evaluation mode."""
    model.train()
    children = [m for _, m in model.named_modules() if isinstance(m, nn.LayerNorm)]
    children[0].eval()
    for p in children[1].parameters():
        p.requires_grad_(False)
    return settings(model)


def nan(model: nn.Module, batch: Batch) -> Tensor:
    return spread(model, batch) * torch.nan


def constant(model: nn.Module, batch: Batch) -> Tensor:
    del model, batch
    return torch.tensor(1.0)


def weights_only(model: nn.Module, batch: Batch) -> Tensor:
    del batch
    return sum((p.square().sum() for p in model.parameters()), torch.tensor(0.0, dtype=torch.float64))


def someone_elses(model: nn.Module, batch: Batch) -> Tensor:
    """Has a graph, but not through the network."""
    del model, batch
    return torch.ones((), requires_grad=True) * 2


def vector(model: nn.Module, batch: Batch) -> Tensor:
    logits: Tensor = model(**batch).logits
    return logits.sum(-1)


BAD = {
    nan: "the loss of a calibration batch is nan",
    constant: "does not depend on the model's output",
    weights_only: "does not depend on the model's output",
    someone_elses: "does not depend on the model's output",
    vector: "must be a tensor of one element",
}


@pytest.mark.parametrize("valuation", [Fisher(), Gradient()], ids=["fisher", "gradient"])
def test_the_network_is_left_as_it_was(bert: Any, valuation: Valuation, generator: torch.Generator) -> None:
    before = unusual(bert.model)
    quiet = valuation(bert.calibration(LOSSES[0]), bert.gates, generator)
    assert settings(bert.model) == before
    assert all(p.grad is None for p in bert.model.parameters())
    # Dropout was off, though the network was training.
    torch.testing.assert_close(valuation(bert.calibration(LOSSES[0]), bert.gates, generator), quiet)


@pytest.mark.parametrize("loss", BAD, ids=lambda loss: loss.__name__)
def test_a_loss_that_cannot_value_units_is_refused(bert: Any, loss: Any, generator: torch.Generator) -> None:
    before = unusual(bert.model)
    with pytest.raises(InputError, match=BAD[loss]):
        Fisher()(bert.calibration(GivenLoss(loss)), bert.gates, generator)
    assert settings(bert.model) == before


def test_a_reader_that_stops_early_leaves_the_network_as_it_was(bert: Any, generator: torch.Generator) -> None:
    before = unusual(bert.model)
    reader = bert.calibration(LOSSES[0]).sample_gradients(bert.gates, generator)
    assert next(reader).shape == (4, len(bert.units))
    reader.close()
    assert settings(bert.model) == before


def test_gradients_are_taken_where_the_caller_switched_them_off(bert: Any, generator: torch.Generator) -> None:
    value = Fisher()(bert.calibration(LOSSES[0]), bert.gates, generator)
    with torch.no_grad():
        torch.testing.assert_close(Fisher()(bert.calibration(LOSSES[0]), bert.gates, generator), value)
        assert not torch.is_grad_enabled()


def test_rows_that_do_not_divide_into_samples_are_refused(bert: Any, generator: torch.Generator) -> None:
    odd = {name: tensor[:3] for name, tensor in bert.batches[0].items()}
    with pytest.raises(InputError, match="a batch of 3 rows does not divide into samples of 2 rows"):
        Fisher()(bert.calibration(LOSSES[1], [odd]), bert.gates, generator)


def test_rows_are_counted_at_the_networks_input(bert: Any, generator: torch.Generator) -> None:
    """Of pairs there are half as many labels as rows, and they may stand first in the batch."""
    labelled = [{"labels": torch.zeros(2), **bert.batches[0]}]

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return pair_distance(model, {k: v for k, v in batch.items() if k != "labels"})

    value = Fisher()(bert.calibration(GivenLoss(loss, rows=2), labelled), bert.gates, generator)
    plain = Fisher()(bert.calibration(LOSSES[1], [bert.batches[0]]), bert.gates, generator)
    torch.testing.assert_close(value, plain)


def test_no_data_is_refused(bert: Any) -> None:
    with pytest.raises(InputError, match="no calibration data"):
        bert.calibration(LOSSES[0], [])


def test_float32_gates_on_a_float64_network_lose_no_more_than_float32(bert: Any, generator: torch.Generator) -> None:
    calibration: Calibration = bert.calibration(LOSSES[0])
    exact = Fisher()(calibration, torch.ones(len(bert.units), dtype=torch.float64), generator)
    torch.testing.assert_close(Fisher()(calibration, torch.ones(len(bert.units)), generator), exact, rtol=1e-5, atol=0)
