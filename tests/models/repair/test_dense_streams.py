"""A network that nobody changes is read in one pass, and says what a runner says that goes through it site by site."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from walras.errors import InputError
from walras.models import inventory
from walras.models.architectures import layers_of
from walras.models.repair.dense_streams import DenseStreams
from walras.models.repair.layerwise_runner import LayerwiseRunner


def _halves(batch: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Two batches of unequal size."""
    return [{k: v[:3] for k, v in batch.items()}, {k: v[3:] for k, v in batch.items()}]


def test_streams_are_those_of_a_runner(family: str, tiny: Any) -> None:
    tested = tiny(family)
    sites, halves = inventory(tested.model, block=8).sites, _halves(tested.batch)
    streams = DenseStreams(tested.model, halves, sites)
    with LayerwiseRunner(tested.model, halves) as runner:
        for site in (*sites, sites[0], sites[-1]):  # from the bottom to the top, and from the bottom again
            for found, seen in zip(streams.read(site), runner.read(site), strict=True):
                torch.testing.assert_close(found.total, seen.total, rtol=0, atol=1e-6)
                torch.testing.assert_close(found.output, seen.output, rtol=0, atol=1e-6)
            for entering, seen in zip(streams.read_inputs(site), runner.read(site), strict=True):
                torch.testing.assert_close(entering, seen.whole, rtol=0, atol=1e-6)
    streams.close()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tested.model.modules())


def test_every_layer_but_the_last_is_run_once(tiny: Any) -> None:
    """Maps into its two sub-layers compute once a batch; site by site the lower ones would be passed three times."""
    tested = tiny("llama")
    sites, halves, calls = inventory(tested.model).sites, _halves(tested.batch), list[int]()
    for layer in layers_of(tested.model):
        path = layer.row.heads.output
        layer.at(path).register_forward_hook(lambda *_, index=layer.index: calls.append(index))
    streams = DenseStreams(tested.model, halves, sites)
    for site in sites:
        assert len(list(streams.read(site))) == 2
    last = sites[-1].layer
    for layer_index in range(last):
        assert calls.count(layer_index) == 2
    assert calls.count(last) > 0


def test_files_do_not_grow_with_the_layers(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of a layer takes the place of what was kept of the one below."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tested = tiny("llama")
    sites = inventory(tested.model).sites
    streams, found = DenseStreams(tested.model, _halves(tested.batch), sites), list[int]()
    for site in sites[:-2]:  # the last layer is read site by site
        list(streams.read(site))
        found.append(len(list(tmp_path.glob("*/*"))))
    assert len(set(found)) == 1
    assert len({site.layer for site in sites[:-2]}) > 1
    streams.close()


def test_a_pass_that_fails_is_begun_anew(tiny: Any) -> None:
    tested = tiny("bert")
    sites, halves = inventory(tested.model).sites, _halves(tested.batch)
    wanted = [seen.total.clone() for seen in DenseStreams(tested.model, halves, sites).read(sites[1])]
    streams, calls = DenseStreams(tested.model, halves, sites), list[int]()

    def fail(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    handle = tested.model.bert.encoder.layer[0].output.dense.register_forward_pre_hook(fail)
    with pytest.raises(KeyboardInterrupt):
        list(streams.read(sites[0]))
    handle.remove()
    for found, stream in zip(streams.read(sites[1]), wanted, strict=True):
        assert torch.equal(found.total, stream)


def test_where_a_layer_fails_the_one_below_is_not_read_from_its_files(tiny: Any) -> None:
    tested = tiny("bert")
    sites, halves = inventory(tested.model).sites, _halves(tested.batch)
    streams, calls = DenseStreams(tested.model, halves, sites), list[int]()
    wanted = [seen.total.clone() for seen in streams.read(sites[0])]
    above = next(site for site in sites if site.layer == 1)
    assert above.layer < len(layers_of(tested.model)) - 1

    def fail(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    handle = tested.model.bert.encoder.layer[1].output.dense.register_forward_pre_hook(fail)
    with pytest.raises(KeyboardInterrupt):
        list(streams.read(above))
    handle.remove()
    for found, stream in zip(streams.read(sites[0]), wanted, strict=True):
        assert torch.equal(found.total, stream)


def test_nothing_is_read_from_what_was_closed(tiny: Any) -> None:
    tested = tiny("bert")
    sites = inventory(tested.model).sites
    streams = DenseStreams(tested.model, [tested.batch], sites)
    list(streams.read(sites[0]))
    streams.close()
    with pytest.raises(InputError, match="closed"):
        list(streams.read(sites[0]))
