"""The re-fit of output projections: exact where it can be, harmless where it need not be."""

import copy
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import nn

from walras.errors import InputError
from walras.models import Inventory, compact, gated, inventory
from walras.models.repair.layerwise_runner import LayerwiseRunner
from walras.models.repair.least_squares import LeastSquares
from walras.models.repair.normal_equations import Normal, chosen
from walras.models.repair.repair import ModelPair, PrunedSublayer, Repair
from walras.models.units.projections import outputs_first


def _half(units: Inventory, seed: int = 0) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Every other unit at random, at least one a sub-layer."""
    keep = np.random.default_rng(seed).random(len(units)) < 0.5
    keep[[site.units.start for site in units.sites]] = True
    return keep


def _repaired(tested: Any, units: Inventory, keep: Any, **settings: Any) -> nn.Module:
    model: nn.Module = copy.deepcopy(tested.model)
    batches = [{k: v[i : i + 1] for k, v in tested.batch.items()} for i in range(4)]
    with ModelPair.from_models(model, tested.model, units, batches) as pair:
        LeastSquares(**settings)(pair, keep)
    return model


def _error(tested: Any, model: nn.Module, units: Inventory, keep: Any) -> list[float]:
    """Mean squared distance of the residual streams after each sub-layer."""
    found, model = [], copy.deepcopy(model)  # it may be the dense one, which must keep all its units
    with gated(model, units, torch.tensor(keep).to(next(model.parameters()))):
        for site in units.sites:
            with LayerwiseRunner(model, [tested.batch]) as now, LayerwiseRunner(tested.model, [tested.batch]) as dense:
                (a,), (b,) = now.read(site), dense.read(site)
                found.append(float((a.total - b.total).square().mean()))
    return found


def test_what_others_can_do_as_well_is_made_good_exactly(tiny: Any) -> None:
    """Of two FFN blocks that compute the same features, one may leave without a trace."""
    tested = tiny("bert", dtype=torch.float64)
    units = inventory(tested.model, block=8)
    layer = tested.model.bert.encoder.layer[1].intermediate.dense
    with torch.no_grad():
        layer.weight[8:16], layer.bias[8:16] = layer.weight[:8], layer.bias[:8]
    keep = np.ones(len(units), dtype=bool)
    keep[[i for i in range(len(units)) if units.name(i) == "L1.F1"]] = False
    dense = tested.logits().detach()
    assert float((tested.logits(compact(tested.model, units, keep)).detach() - dense).abs().max()) > 1e-2
    repaired = _repaired(tested, units, keep, ridges=(1e-12,))
    torch.testing.assert_close(tested.logits(compact(repaired, units, keep)).detach(), dense, rtol=0, atol=1e-6)


def test_the_solution_is_that_of_a_direct_solver(tiny: Any) -> None:
    """The first pruned sub-layer against `lstsq` on features stacked with the pull towards the old weights."""
    tested = tiny("gpt2", dtype=torch.float64)
    units, ridge = inventory(tested.model, block=8), 0.3
    site = units.sites[1]
    keep = np.ones(len(units), dtype=bool)
    keep[site.units.start + 1 : site.units.stop : 2] = False
    projection = tested.model.get_submodule(site.path)
    with LayerwiseRunner(tested.model, [tested.batch]) as runner:
        (seen,) = runner.read(site)
    x = seen.features[:, torch.from_numpy(keep[site.units])[site.owner]]
    ones = x.new_ones(len(x), 1)
    strength = (ridge * x.square().sum(0).mean()).sqrt()
    pull = torch.diag(torch.cat([strength.expand(x.shape[1]), (ridge * ones.sum()).sqrt().reshape(1)]))
    old = torch.cat(
        [outputs_first(projection)[:, torch.from_numpy(keep[site.units])[site.owner]].T, projection.bias[None]]
    )
    left, right = torch.cat([torch.cat([x, ones], 1), pull]), torch.cat([seen.output, pull @ old])
    wanted = torch.linalg.lstsq(left, right).solution
    repaired = _repaired(tested, units, keep, ridges=(ridge,)).get_submodule(site.path)
    found = outputs_first(repaired)[:, torch.from_numpy(keep[site.units])[site.owner]].T
    torch.testing.assert_close(found, wanted[:-1], rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(repaired.get_parameter("bias").detach(), wanted[-1], rtol=1e-8, atol=1e-10)


def test_every_family_comes_closer_to_the_dense_network(family: str, tiny: Any) -> None:
    tested = tiny(family)
    units = inventory(tested.model, block=8)
    keep = _half(units)
    before = _error(tested, tested.model, units, keep)
    after = _error(tested, _repaired(tested, units, keep, ridges=(1e-3,)), units, keep)
    assert after[-1] < 0.9 * before[-1]


@pytest.mark.nightly
def test_sub_layers_alone_are_never_worse_on_the_rows_they_are_fitted_to(tiny: Any) -> None:
    tested = tiny("bert")
    units = inventory(tested.model, block=8)
    for seed in range(5):
        keep = _half(units, seed)
        model, batches = copy.deepcopy(tested.model), [tested.batch]
        for site in units.sites:
            place = units.sites.index(site)
            before = _error(tested, model, units, keep)[place]
            with ModelPair.from_models(model, tested.model, units, batches) as pair:
                LeastSquares((1e-4,))(pair, keep, (site,))
            assert _error(tested, model, units, keep)[place] <= before * (1 + 1e-6)


def test_whoever_has_nothing_to_repair_is_left_alone(tiny: Any) -> None:
    tested = tiny("bert")
    units = inventory(tested.model, block=8)
    whole = _repaired(tested, units, np.ones(len(units), dtype=bool))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), tested.model.parameters(), strict=True))
    thin = np.ones(len(units), dtype=bool)
    thin[units.sites[3].units.start] = False
    changed = {
        name
        for (name, a), b in zip(
            _repaired(tested, units, thin).named_parameters(), tested.model.parameters(), strict=True
        )
        if not torch.equal(a, b)
    }
    assert changed == {f"{site.path}.{part}" for site in units.sites[3:] for part in ("weight", "bias")}


def test_a_strong_pull_changes_nothing_and_columns_of_leavers_stay(tiny: Any) -> None:
    tested = tiny("llama", dtype=torch.float64)
    units = inventory(tested.model, block=8)
    keep = _half(units)
    still = _repaired(tested, units, keep, ridges=(1e12,))
    for a, b in zip(still.parameters(), tested.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)
    moved = _repaired(tested, units, keep, ridges=(1e-3,))
    for site in units.sites:
        gone = ~torch.from_numpy(keep[site.units])[site.owner]
        old, new = (outputs_first(m.get_submodule(site.path)) for m in (tested.model, moved))
        assert torch.equal(old[:, gone], new[:, gone])
        assert torch.equal(old, new) == keep[: site.units.stop].all()


def test_how_rows_are_batched_is_of_no_account(tiny: Any) -> None:
    tested = tiny("distilbert", dtype=torch.float64)
    units = inventory(tested.model, block=8)
    keep = _half(units)
    single = _repaired(tested, units, keep, ridges=(0.1,))
    together = copy.deepcopy(tested.model)
    with ModelPair.from_models(together, tested.model, units, [tested.batch]) as pair:
        LeastSquares((0.1,))(pair, keep)
    for a, b in zip(single.parameters(), together.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_a_sub_layer_without_units_keeps_its_bias_re_fitted(tiny: Any) -> None:
    tested = tiny("bert", dtype=torch.float64)
    units = inventory(tested.model, block=8)
    keep = np.ones(len(units), dtype=bool)
    site = units.sites[1]
    keep[site.units] = False
    with LayerwiseRunner(tested.model, [tested.batch]) as runner:
        (seen,) = runner.read(site)
    repaired = _repaired(tested, units, keep, ridges=(1e-9,))
    found = repaired.get_submodule(site.path).get_parameter("bias").detach()
    torch.testing.assert_close(found, seen.output.mean(0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("ridges", [(), (0.0,), (0.1, -1.0), (float("nan"),), (float("inf"),)])
def test_a_pull_must_be_a_positive_number(ridges: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="ridges are"):
        LeastSquares(ridges)


def test_the_ridge_is_chosen_on_tokens_that_were_not_fitted(tiny: Any) -> None:
    """Two rows' tokens cannot fix 32 features: a weak pull fits them and fails on others, and is not chosen."""
    tested = tiny("bert", dtype=torch.float64)
    units = inventory(tested.model, block=8)
    keep = np.ones(len(units), dtype=bool)
    site = units.sites[1]
    keep[site.units.stop - 1] = False
    few = [{k: v[i : i + 1, :4] for k, v in tested.batch.items()} for i in (0, 2)]

    def error(ridges: tuple[float, ...]) -> float:
        """Of the sub-layer, on rows that were not fitted."""
        model = copy.deepcopy(tested.model)
        with ModelPair.from_models(model, tested.model, units, few) as pair:
            LeastSquares(ridges)(pair, keep, (site,))
        return _error(tested, model, units, keep)[1]

    alone = {ridge: error((ridge,)) for ridge in (1e-9, 1.0)}
    assert alone[1e-9] > 1.3 * alone[1.0]
    assert error((1e-9, 1.0)) == alone[1.0]


def test_a_single_batch_cannot_be_left_out_and_gets_the_largest_ridge(tiny: Any) -> None:
    tested = tiny("bert")
    units = inventory(tested.model, block=8)
    keep = _half(units)
    models = [copy.deepcopy(tested.model) for _ in range(2)]
    for model, ridges in zip(models, ((0.1, 5.0), (5.0,)), strict=True):
        with ModelPair.from_models(model, tested.model, units, [tested.batch]) as pair:
            LeastSquares(ridges)(pair, keep)
    assert all(torch.equal(a, b) for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True))


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_one_ridge_for_both_parts_is_one_ridge(kind: str, tiny: Any) -> None:
    tested = tiny(kind, dtype=torch.float64)
    units = inventory(tested.model, block=8)
    keep = _half(units)
    whole, apart = (_repaired(tested, units, keep, ridges=(0.3,), apart=apart) for apart in (False, True))
    for a, b in zip(whole.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_what_left_here_and_what_was_lost_below_are_told_apart(tiny: Any) -> None:
    """In the lowest sub-layer nothing was lost below; in one whose units all stay, everything was."""
    tested = tiny("llama", dtype=torch.float64)
    units = inventory(tested.model, block=8)
    keep = np.zeros(len(units), dtype=bool)
    keep[[site.units.start for site in units.sites]] = True
    keep[units.sites[1].units] = True
    seen: list[tuple[float, float]] = []

    @final
    @dataclass(frozen=True)
    class Noted(Repair):
        def repair_sublayer(self, pruned: PrunedSublayer) -> bool:
            parts = [
                (float(seen.left_here.square().sum()), float((seen.gap - seen.left_here).square().sum()))
                for seen in pruned.read()
            ]
            seen.append((sum(a for a, _ in parts), sum(b for _, b in parts)))
            return True

    model = copy.deepcopy(tested.model)
    with ModelPair.from_models(model, tested.model, units, [tested.batch]) as pair:
        Noted()(pair, keep)
    (here, below), (_, all_below) = seen[0], seen[1]
    assert here > 1e-6 > 1e-12 > below
    assert seen[1][0] == 0
    assert all_below > 1e-6
    assert all(a > 1e-6 and b > 1e-6 for a, b in seen[2:])


def _parts(seed: int, noise: float) -> Normal:
    """Two targets of the same features: one that they explain, one that is mostly noise."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.Generator().manual_seed(99)
    x = torch.randn(60, 8, dtype=torch.float64, generator=generator)
    clear = x @ torch.randn(8, 3, dtype=torch.float64, generator=known)
    rough = noise * torch.randn(60, 3, dtype=torch.float64, generator=generator)
    return Normal(x.T @ x, (x.T @ clear, x.T @ rough), 0)


def test_each_part_gets_the_ridge_that_is_best_on_unseen_tokens() -> None:
    ridges = (1e-3, 0.1, 10.0)
    one, two = _parts(0, 3.0), _parts(1, 3.0)
    assert chosen([one, two], ridges) == (1e-3, 10.0)
    errors = one.errors(two, ridges)
    assert errors.shape == (3, 3)
    for i, first in enumerate(ridges):
        for j, second in enumerate(ridges):
            change, target = one.change((first, second)), two.moments[0] + two.moments[1]
            wanted = (change * (two.gram @ change - 2 * target)).sum()
            assert float(errors[i, j]) == pytest.approx(float(wanted), rel=1e-9)
