"""A scale or a norm between an output projection and the residual stream: repairs are fitted to what arrives there."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models import Inventory, compact, gated, inventory
from walras.models.architectures import layers_of
from walras.models.repair.gain import Gain
from walras.models.repair.layerwise_runner import LayerwiseRunner
from walras.models.repair.least_squares import LeastSquares
from walras.models.repair.means import Means
from walras.models.repair.repair import ModelPair, Repair, check_repairable
from walras.models.repair.scales import Scales
from walras.models.units.projections import outputs_first


def _half(units: Inventory) -> Any:
    """Every other unit at random; of every sub-layer the first stays and the second leaves."""
    keep = np.random.default_rng(0).random(len(units)) < 0.5
    starts = np.array([site.units.start for site in units.sites])
    keep[starts], keep[starts + 1] = True, False
    return keep


def _repaired(model: nn.Module, batch: dict[str, Tensor], keep: Any, repair: Repair) -> nn.Module:
    found, units = copy.deepcopy(model), inventory(model, block=8)
    batches = [{k: v[i : i + 1] for k, v in batch.items()} for i in range(4)]
    with ModelPair.from_models(found, model, units, batches) as pair:
        repair(pair, keep)
    return found


def _scales(tested: Any) -> list[tuple[Any, Any]]:
    """Every output projection of a DINOv2 and the scale behind it."""
    found: list[tuple[Any, Any]] = []
    for layer in tested.model.dinov2.encoder.layer:
        found += [(layer.attention.o_proj, layer.layer_scale1), (layer.mlp.fc2, layer.layer_scale2)]
    return found


@pytest.mark.parametrize(
    "repair", [LeastSquares((1e-3,)), LeastSquares((0.1, 1.0), apart=True), Scales(damping=0.1, limit=1e3), Means()]
)
def test_a_scale_is_of_no_account(repair: Repair, tiny: Any) -> None:
    """A network whose scales are multiplied into the projections is the same network, before a repair and after it."""
    tested = tiny("dinov2", dtype=torch.float64)
    with torch.no_grad():
        for i, (_, scale) in enumerate(_scales(tested)):
            scale.lambda1.copy_(torch.randn(24, generator=torch.Generator().manual_seed(i)).exp())
    folded = copy.deepcopy(tested)
    with torch.no_grad():
        for projection, scale in _scales(folded):
            projection.weight.mul_(scale.lambda1.unsqueeze(1))
            projection.bias.mul_(scale.lambda1)
            scale.lambda1.fill_(1)
        dense = tested.logits()
        torch.testing.assert_close(folded.logits(), dense)
    units = inventory(tested.model, block=8)
    keep, found = _half(units), []
    for own in (tested, folded):
        with torch.no_grad():
            found.append(tested.logits(compact(_repaired(own.model, tested.batch, keep, repair), units, keep)))
    torch.testing.assert_close(*found)
    with torch.no_grad():
        bare = tested.logits(compact(tested.model, units, keep))
    assert float((found[0] - bare).abs().max()) > 1e-3


def test_a_feature_whose_scale_is_0_stays_as_it_is(tiny: Any) -> None:
    tested = tiny("dinov2")
    with torch.no_grad():
        for _, scale in _scales(tested):
            scale.lambda1[3] = 0
    units = inventory(tested.model, block=8)
    repaired = _repaired(tested.model, tested.batch, _half(units), LeastSquares((0.1,)))
    for site in units.sites:
        old, new = (outputs_first(m.get_submodule(site.path)) for m in (tested.model, repaired))
        assert torch.equal(old[3], new[3])
        assert bool(new.isfinite().all())
        assert not torch.equal(old, new)


@pytest.mark.parametrize("kind", ["bert", "dinov2", "gemma3_text"])
@torch.no_grad()
def test_rows_times_columns_is_what_is_added(kind: str, tiny: Any) -> None:
    """Of outputs of any size, those too that are as small as the norm's own small number."""
    tested = tiny(kind, dtype=torch.float64)
    random = torch.Generator().manual_seed(0)
    for layer in layers_of(tested.model)[:1]:
        for sublayer in (layer.row.heads, layer.ffn):
            assert sublayer is not None
            gain = Gain.of(layer, sublayer.output)
            sizes = torch.tensor([[1e-4], [1.0], [50.0]], dtype=torch.float64)
            output = torch.randn(3, 24, dtype=torch.float64, generator=random) * sizes
            wanted = layer.at(sublayer.after)(output) if sublayer.after else output
            rows = gain.rows(output)
            torch.testing.assert_close(output * rows * gain.columns, wanted, rtol=1e-5, atol=1e-12)
            assert gain.normed == (kind == "gemma3_text")
            assert float(torch.as_tensor(gain.excess(output, rows)).abs().max()) < 1e-5
            assert gain.normed == (float(torch.as_tensor(gain.excess(output, 2 * rows)).abs().max()) > 0.1)


def test_another_module_is_refused_by_name(tiny: Any) -> None:
    tested = tiny("gemma3_text")
    tested.model.model.layers[1].post_feedforward_layernorm = nn.LayerNorm(24)
    Gain.of(layers_of(tested.model)[0], "mlp.down_proj")
    with pytest.raises(
        InputError, match=r"layers\.1\.mlp\.down_proj writes goes through 'post_feedforward_layernorm', a LayerNorm"
    ):
        Gain.of(layers_of(tested.model)[1], "mlp.down_proj")
    with pytest.raises(InputError, match="a LayerNorm, which is neither a number a feature nor a norm"):
        check_repairable(tested.model, inventory(tested.model))
    check_repairable(tiny("gemma3_text").model, inventory(tested.model))


def test_what_others_can_do_as_well_is_made_good_exactly_behind_a_norm(tiny: Any) -> None:
    """Of two FFN blocks that compute the same features, one may leave without a trace."""
    tested = tiny("gemma3_text", dtype=torch.float64)
    units = inventory(tested.model, block=8)
    mlp = tested.model.model.layers[1].mlp
    with torch.no_grad():
        for weight in (mlp.gate_proj.weight, mlp.up_proj.weight):
            weight[8:16] = weight[:8]
        keep = np.array([units.name(i) != "L1.F1" for i in range(len(units))])
        real = tested.batch["attention_mask"].bool()
        dense = tested.logits()[real]
        assert float((tested.logits(compact(tested.model, units, keep))[real] - dense).abs().max()) > 1e-2
        repaired = _repaired(tested.model, tested.batch, keep, LeastSquares((1e-7,)))
        torch.testing.assert_close(tested.logits(compact(repaired, units, keep))[real], dense, rtol=0, atol=1e-4)


def test_behind_a_norm_the_solution_is_that_of_a_direct_solver(tiny: Any) -> None:
    """The lowest attention, from which a group leaves: tokens count by what the dense norm multiplies them by."""
    tested = tiny("gemma3_text", dtype=torch.float64)
    units, ridge = inventory(tested.model, block=8), 0.3
    site = units.sites[0]
    keep = np.ones(len(units), dtype=bool)
    keep[site.units.start + 1] = False
    kept = torch.from_numpy(keep[site.units])[site.owner]
    with LayerwiseRunner(tested.model, [tested.batch]) as runner:
        (seen,) = runner.read(site)
    norm = tested.model.model.layers[0].post_attention_layernorm
    projection, size = (
        tested.model.get_submodule(site.path),
        (seen.output.square().mean(-1, keepdim=True) + norm.eps).sqrt(),
    )
    own, columns = outputs_first(projection).T, 1 + norm.weight.detach()  # [width, hidden], [hidden]
    x = torch.cat([seen.features[:, kept], torch.ones_like(size)], 1) / size
    squares = x.square().sum(0)
    pull = torch.diag((ridge * torch.cat([squares[:-1].mean().expand(x.shape[1] - 1), squares[-1:]])).sqrt())
    old = torch.cat([own[kept], projection.bias.detach()[None]]) * columns
    target = norm(seen.output).detach()
    wanted = torch.linalg.lstsq(torch.cat([x, pull]), torch.cat([target, pull @ old])).solution / columns
    repaired = _repaired(tested.model, tested.batch, keep, LeastSquares((ridge,))).get_submodule(site.path)
    found = outputs_first(repaired).T
    torch.testing.assert_close(found[kept], wanted[:-1], rtol=1e-4, atol=1e-5)  # the norm itself is float32
    torch.testing.assert_close(repaired.get_parameter("bias").detach(), wanted[-1], rtol=1e-4, atol=1e-5)
    assert torch.equal(found[~kept], own[~kept])


@pytest.mark.parametrize("kind", ["dinov2", "gemma3_text"])
@pytest.mark.parametrize("repair", [LeastSquares((1e-3,)), Scales(damping=0.0, limit=1e3), Means()])
def test_streams_come_closer_to_the_dense_network(repair: Repair, kind: str, tiny: Any) -> None:
    tested = tiny(kind, dtype=torch.float64)
    units = inventory(tested.model, block=8)
    keep, found = _half(units), []
    for model in (copy.deepcopy(tested.model), _repaired(tested.model, tested.batch, keep, repair)):
        with gated(model, units, torch.tensor(keep).double()):
            for site in (units.sites[0], units.sites[-1]):
                with (
                    LayerwiseRunner(model, [tested.batch]) as now,
                    LayerwiseRunner(tested.model, [tested.batch]) as dense,
                ):
                    (a,), (b,) = now.read(site), dense.read(site)
                    found.append(float((a.total - b.total).square().sum()))
    least = 0.97 if isinstance(repair, LeastSquares) else 1.0
    assert found[2] < least * found[0]
    if not isinstance(repair, Means):  # which does not make good what was lost further down
        assert found[3] < least * found[1]
