"""Reading sub-layers one after the other, or beginning at a layer, equals passes through the whole network."""

import gc
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest
import torch
from torch import Tensor

from walras.errors import InputError
from walras.models import gated, inventory
from walras.models.architectures import architecture, layer_paths, layers_of
from walras.models.repair.layerwise_runner import LayerwiseRunner
from walras.models.repair.streams import real_tokens
from walras.models.units.projections import outputs_first


def _halves(batch: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Two batches of unequal length of memory."""
    return [{k: v[:3] for k, v in batch.items()}, {k: v[3:] for k, v in batch.items()}]


class Runs:
    """How often each layer of a network is run."""

    def __init__(self, model: Any) -> None:
        self.counts = [0] * len(layer_paths(model))
        for i, path in enumerate(layer_paths(model)):
            attention = next(model.get_submodule(path).children())  # a layer that is passed over does not call it
            attention.register_forward_hook(lambda *_, i=i: self.counts.__setitem__(i, self.counts[i] + 1))

    def since(self) -> list[int]:
        """Runs since this was asked before."""
        found, self.counts[:] = list(self.counts), [0] * len(self.counts)
        return found


def test_what_begins_at_a_layer_ends_as_the_whole_does(family: str, kernel: str, tiny: Any) -> None:
    tested = tiny(family, kernel)
    units, halves = inventory(tested.model, block=8), _halves(tested.batch)
    gates = torch.rand(len(units), generator=torch.Generator().manual_seed(0))
    with gated(tested.model, units, gates), torch.no_grad(), LayerwiseRunner(tested.model, halves) as runner:
        whole = [tested.model(**half).logits for half in halves]
        for layer in range(3):
            runner.advance_to(layer, gates)
            for place, half in enumerate(halves):
                with runner.starting_at(place):
                    assert torch.equal(tested.model(**half).logits, whole[place])


def test_layers_below_are_run_once(tiny: Any) -> None:
    tested = tiny("bert")
    runs = Runs(tested.model)
    with LayerwiseRunner(tested.model, [tested.batch]) as runner:
        for layer, counts in ((1, [1, 0, 0]), (1, [0, 0, 0]), (2, [0, 1, 0])):
            runner.advance_to(layer)
            assert runs.since() == counts
        with runner.starting_at(0):
            tested.logits()
        assert runs.since() == [0, 0, 1]
        runner.advance_to(1)  # back from the top
        assert runs.since() == [1, 0, 0]


def test_other_gates_below_begin_anew(tiny: Any) -> None:
    tested = tiny("bert")
    units, runs = inventory(tested.model, block=8), Runs(tested.model)
    first = units.sites[2].units.start  # of layer 1
    gates = torch.ones(len(units))
    with LayerwiseRunner(tested.model, [tested.batch]) as runner:
        for unit, value, counts in (
            (0, 0.5, [1, 0, 0]),
            (0, 0.5, [0, 0, 0]),
            (0, 0.0, [1, 0, 0]),
            (-1, 0.0, [0, 0, 0]),
        ):
            gates[unit] = value
            with gated(tested.model, units, gates):
                runner.advance_to(1, gates[:first])
                assert runs.since() == counts
                with torch.no_grad(), runner.starting_at(0):
                    logits = tested.logits()
                assert torch.equal(logits, tested.logits())  # outside the context: of the whole network
                runs.since()


def test_a_climb_that_fails_begins_anew(tiny: Any) -> None:
    """Else one batch would be a layer further than the other."""
    tested = tiny("bert")
    halves = _halves(tested.batch)
    with torch.no_grad(), LayerwiseRunner(tested.model, halves) as runner:
        runner.advance_to(1)
        whole, calls = [tested.model(**half).logits for half in halves], list[int]()

        def fail(*_: Any) -> None:
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt

        handle = tested.model.bert.encoder.layer[1].register_forward_pre_hook(fail)
        with pytest.raises(KeyboardInterrupt):
            runner.advance_to(2)
        handle.remove()
        runner.advance_to(1)
        for place, half in enumerate(halves):
            with runner.starting_at(place):
                assert torch.equal(tested.model(**half).logits, whole[place])


@pytest.mark.nightly
@pytest.mark.parametrize("end", ["close", "network", "runner"])
def test_files_are_gone_with_whoever_needs_them(
    end: str, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert gettempdir() == str(tmp_path)
    tested = tiny("bert")
    model, batch = tested.model, tested.batch
    object.__setattr__(tested, "model", None)
    runner = LayerwiseRunner(model, [batch])
    runner.advance_to(1)
    assert len(list(tmp_path.glob("*/*"))) == 1
    if end == "close":
        runner.close()
        with pytest.raises(InputError, match="has been closed"):
            runner.advance_to(1)
    elif end == "runner":
        del runner
    else:
        del model
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    if end == "network":
        with pytest.raises(InputError, match="the network has been deleted"):
            runner.advance_to(1)


def test_features_and_outputs_are_those_of_a_whole_pass(family: str, kernel: str, tiny: Any) -> None:
    tested = tiny(family, kernel)
    units = inventory(tested.model, block=8)
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
        with LayerwiseRunner(tested.model, _halves(tested.batch)) as runner:
            for site in units.sites:
                read = list(runner.read(site))
                for part, whole in zip(("features", "output"), seen[site.path], strict=True):
                    found = torch.cat([getattr(stream, part) for stream in read])
                    torch.testing.assert_close(found, real_tokens(whole, tested.batch), rtol=0, atol=1e-5)


def test_the_stream_is_what_the_output_was_added_to(family: str, tiny: Any) -> None:
    """Without the output projection's weights and bias, the stream lacks exactly the output."""
    tested = tiny(family)
    for site in inventory(tested.model).sites:
        with LayerwiseRunner(tested.model, [tested.batch]) as runner:
            (before,) = runner.read(site)
        projection = tested.model.get_submodule(site.path)
        kept = {name: tensor.clone() for name, tensor in projection.state_dict().items()}
        with torch.no_grad():
            for parameter in projection.parameters():
                parameter.zero_()
        with LayerwiseRunner(tested.model, [tested.batch]) as runner:
            (after,) = runner.read(site)
        projection.load_state_dict(kept)
        sublayer = getattr(architecture(tested.model), site.sublayer)
        layer = layers_of(tested.model)[site.layer]
        added = layer.at(sublayer.after)(before.output).detach() if sublayer.after else before.output
        assert float(added.abs().max()) > 0.1
        torch.testing.assert_close(before.total - after.total, added, rtol=0, atol=1e-5)


def test_a_residual_stream_elsewhere_is_refused(tiny: Any) -> None:
    tested = tiny("opt")
    tested.model.config.do_layer_norm_before = False
    (site, *_) = inventory(tested.model).sites
    with (
        LayerwiseRunner(tested.model, [tested.batch]) as runner,
        pytest.raises(InputError, match="= False cannot be repaired"),
    ):
        list(runner.read(site))


def test_weights_may_change_in_between(tiny: Any) -> None:
    tested = tiny("bert")
    sites = inventory(tested.model).sites
    with LayerwiseRunner(tested.model, [tested.batch]) as runner:
        for site in sites:
            list(runner.read(site))
            with torch.no_grad():
                outputs_first(tested.model.get_submodule(site.path)).mul_(0.5)
        (last,) = runner.read(sites[-1])
    with LayerwiseRunner(tested.model, [tested.batch]) as runner:
        (anew,) = runner.read(sites[-1])
    torch.testing.assert_close(last.total, anew.total, rtol=0, atol=1e-6)


def test_nothing_is_left_behind(tiny: Any) -> None:
    tested = tiny("mpnet")
    before = tested.logits()
    sites = inventory(tested.model).sites
    with LayerwiseRunner(tested.model, [tested.batch]) as runner:
        list(runner.read(sites[-1]))
        with runner.starting_at(0):
            tested.logits()
    assert torch.equal(tested.logits(), before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tested.model.modules())


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_inputs_alone_are_those_that_are_read_with_the_rest(name: str, tiny: Any) -> None:
    tested = tiny(name)
    units = inventory(tested.model, block=8)
    gates = (torch.arange(len(units)) % 4 > 0).float()
    batches = [tested.batch]
    one, other = LayerwiseRunner(tested.model, batches), LayerwiseRunner(tested.model, batches)
    with gated(tested.model, units, gates), one, other:
        for site in units.sites:
            (whole,) = one.read_inputs(site)
            (stream,) = other.read(site)
            assert torch.equal(whole, stream.whole)
