"""Reading sub-layers one after the other equals one pass through the whole network."""

from typing import Any

import pytest
import torch
from torch import Tensor

from walras.errors import InputError
from walras.models import gated, inventory
from walras.models.projections import outputs_first
from walras.models.streams import Ascent, by_length, inputs, real_tokens


def _halves(batch: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Two batches of unequal length of memory."""
    return [{k: v[:3] for k, v in batch.items()}, {k: v[3:] for k, v in batch.items()}]


def test_features_and_outputs_are_those_of_a_whole_pass(family: str, attention: str, tiny: Any) -> None:
    tested = tiny(family, attention)
    units = inventory(tested.model, 8)
    gates = torch.rand(len(units), generator=torch.Generator().manual_seed(0))
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    with gated(tested.model, units, gates), torch.no_grad():
        handles = [
            tested.model.get_submodule(site.path).register_forward_hook(
                lambda _, args, out, path=site.path: seen.__setitem__(path, (args[0], out))
            )
            for site in units.sites
        ]
        tested.logits()
        for handle in handles:
            handle.remove()
        with Ascent(tested.model, _halves(tested.batch)) as ascent:
            for site in units.sites:
                read = list(ascent.read(site))
                for part, whole in zip(("features", "output"), seen[site.path], strict=True):
                    found = torch.cat([getattr(stream, part) for stream in read])
                    torch.testing.assert_close(found, real_tokens(whole, tested.batch), rtol=0, atol=1e-5)


def test_the_stream_is_what_the_output_was_added_to(family: str, tiny: Any) -> None:
    """Without the output projection's weights and bias, the stream lacks exactly the output."""
    tested = tiny(family)
    for site in inventory(tested.model).sites:
        with Ascent(tested.model, [tested.batch]) as ascent:
            (before,) = ascent.read(site)
        projection = tested.model.get_submodule(site.path)
        kept = {name: tensor.clone() for name, tensor in projection.state_dict().items()}
        with torch.no_grad():
            for parameter in projection.parameters():
                parameter.zero_()
        with Ascent(tested.model, [tested.batch]) as ascent:
            (after,) = ascent.read(site)
        projection.load_state_dict(kept)
        assert float(before.output.abs().max()) > 0.1
        torch.testing.assert_close(before.total - after.total, before.output, rtol=0, atol=1e-5)


def test_a_residual_stream_elsewhere_is_refused(tiny: Any) -> None:
    tested = tiny("opt")
    tested.model.config.do_layer_norm_before = False
    with pytest.raises(InputError, match="do_layer_norm_before = False cannot be repaired"):
        Ascent(tested.model, [tested.batch])


def test_weights_may_change_in_between(tiny: Any) -> None:
    tested = tiny("bert")
    sites = inventory(tested.model).sites
    with Ascent(tested.model, [tested.batch]) as ascent:
        for site in sites:
            list(ascent.read(site))
            with torch.no_grad():
                outputs_first(tested.model.get_submodule(site.path)).mul_(0.5)
        (last,) = ascent.read(sites[-1])
    with Ascent(tested.model, [tested.batch]) as ascent:
        (anew,) = ascent.read(sites[-1])
    torch.testing.assert_close(last.total, anew.total, rtol=0, atol=1e-6)


def test_nothing_is_left_behind(tiny: Any) -> None:
    tested = tiny("mpnet")
    before = tested.logits()
    sites = inventory(tested.model).sites
    with Ascent(tested.model, [tested.batch]) as ascent:
        list(ascent.read(sites[-1]))
        with pytest.raises(InputError, match="layer 0 lies below layer 2"):
            list(ascent.read(sites[0]))
    assert torch.equal(tested.logits(), before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tested.model.modules())


def test_labels_are_left_out(tiny: Any) -> None:
    tested = tiny("bert")
    assert set(inputs(tested.model, {**tested.batch, "labels": torch.zeros(4)})) == set(tested.batch)


def test_rows_by_length(tiny: Any) -> None:
    tested = tiny("bert")
    batches = [{**half, "labels": torch.zeros(len(half["input_ids"]))} for half in _halves(tested.batch)]
    found = by_length(batches)
    assert [tuple(batch["input_ids"].shape) for batch in found] == [(3, 9), (1, 9)]
    assert [int(batch["attention_mask"].sum()) for batch in found] == [4 + 6 + 9, 9]
    assert all(set(batch) == set(tested.batch) for batch in found)
    rows = sorted(tuple(row[mask == 1].tolist()) for row, mask in zip(*tested.batch.values(), strict=True))
    again = [tuple(r[m == 1].tolist()) for batch in found for r, m in zip(*batch.values(), strict=True)]
    assert sorted(again) == rows


def test_a_batch_of_short_rows_is_cut(tiny: Any) -> None:
    batch = tiny("bert").batch
    found = by_length([{k: v[i : i + 1] for k, v in batch.items()} for i in range(4)])
    assert [batch["input_ids"].shape[1] for batch in found] == [4, 6, 9, 9]


@pytest.mark.parametrize("change", ["left", "hidden", "mask"])
def test_what_cannot_be_regrouped_stays(change: str, tiny: Any) -> None:
    batch = dict(tiny("bert").batch)
    if change == "left":
        batch = {name: tensor.flip(-1) for name, tensor in batch.items()}
    elif change == "hidden":
        batch["inputs_embeds"] = torch.zeros(4, 9, 24)
    else:
        del batch["attention_mask"]
    given = [batch]
    assert by_length(given) is given
