"""Latency: against simulated times, which are known exactly, and once on the clock."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from walras.errors import InputError
from walras.models import RESOURCES, UNIT_KINDS, Site, Workload, compact, inventory
from walras.models.architectures import ARCHITECTURES, layer_paths
from walras.models.resources import latency_measure
from walras.models.resources.latency import find_table, latency, use_by_table
from walras.models.resources.latency_curves import anchored, isotonic
from walras.models.resources.latency_measure import measure
from walras.models.resources.latency_setting import sample_batch
from walras.models.resources.latency_table import Curve, Setting, read_table
from walras.models.units.projections import features

CONSTANT, SIZE = 5.0, Workload(2, 9)


def simulated(model: Any) -> float:
    """Seconds: sub-layers cost something as soon as there is one unit, attention rises in steps of two heads."""
    row, total = ARCHITECTURES[model.config.model_type], CONSTANT
    for path in layer_paths(model):
        total += 0.01
        heads = features(model.get_submodule(f"{path}.{row.heads.output}"))[0]
        neurons = features(model.get_submodule(f"{path}.{row.ffn.output}"))[0]
        total += 0.3 + 0.02 * (heads // 12) if heads else 0
        total += 0.2 + 0.002 * neurons if neurons else 0
    return total


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Replaces the clock; holds how many functions were timed at each call."""
    calls: list[int] = []

    def timed(functions: Sequence[Any], repeats: int) -> list[float]:
        calls.append(len(functions))
        with torch.no_grad():
            for function in functions if len(calls) == 1 else ():
                function()  # every cut and sliced model must run
        return [simulated(function.func) / 1e3 for function in functions]

    monkeypatch.setattr(latency_measure, "interleaved", timed)
    monkeypatch.setenv("WALRAS_CACHE", str(tmp_path / "cache"))
    return calls


def test_predicts_simulated_times_of_sliced_models(family: str, clock: list[int], tiny: Any) -> None:
    model = tiny(family).model
    units = inventory(model, block=8)
    found = latency(model, units, batch=2, length=9)
    assert found.dense == pytest.approx(simulated(model))
    draw = np.random.default_rng(1)
    n = len(units)
    for keep in (*(draw.random((4, n)) < [[0.9], [0.6], [0.3], [0.1]]), units.kind == "ffn", np.zeros(n, dtype=bool)):
        assert found.used(keep) == pytest.approx(simulated(compact(model, units, keep)))
    blocks = inventory(model, block=5)  # the table does not depend on how neurons are bundled
    keep = draw.random(len(blocks)) < 0.5
    again = latency(model, blocks, batch=2, length=9)
    assert again.used(keep) == pytest.approx(simulated(compact(model, blocks, keep)))
    assert len(clock) == 2  # a first pass and the timed ones: the second table came from the cache
    assert not found.additive


def test_marginal_by_rank(clock: list[int], tiny: Any) -> None:
    model = tiny("bert").model  # 4 heads of 6 features: steps at 12 and 24
    units = inventory(model, block=16)  # 16, 16 and 8 neurons
    found = latency(model, units, batch=2, length=9)
    rank = np.array([2, 0, 3, 1, 2, 0, 1] * 3)
    heads = [0, 0.3, 0.02, 0.02]
    assert found.marginal(rank)[:4].tolist() == pytest.approx(heads, abs=1e-9)
    assert found.marginal(rank)[4:7].tolist() == pytest.approx([0.016, 0.232, 0.032])
    assert found.fixed == pytest.approx(CONSTANT + 0.03)


@pytest.mark.nightly
def test_the_cache_is_by_setting_and_mended_where_damaged(clock: list[int], tiny: Any, tmp_path: Path) -> None:
    model = tiny("bert").model
    units = inventory(model)
    first = find_table(model, SIZE)
    (file,) = (tmp_path / "cache").iterdir()
    assert read_table(file) == first
    assert file.name == first.name
    latency(model, units, batch=3, length=9)
    latency(model.double(), units, batch=2, length=9)
    model.float()
    assert len(list((tmp_path / "cache").iterdir())) == 3
    file.write_text(file.read_text()[:50])
    count = len(clock)
    assert find_table(model, SIZE) == first
    assert len(clock) == count + 2
    assert read_table(file) == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "Abacus 3000"}, r"was measured on Abacus 3000; this run is on .+"),
        ({"dtype": "bfloat16"}, "was measured on bfloat16; this run is on float32"),
        ({"batch": 7}, "was measured on batch 7; this run is on batch 2"),
        ({"length": 8}, "was measured on length 8; this run is on length 9"),
        ({"threads": 64}, r"was measured on 64 thread\(s\); this run is on 1 thread\(s\)"),
    ],
)
def test_a_table_from_elsewhere_is_refused(
    change: dict[str, Any], message: str, clock: list[int], tiny: Any, tmp_path: Path
) -> None:
    model = tiny("bert").model
    units = inventory(model)
    own = find_table(model, SIZE)
    own.write(tmp_path / "own.json")
    assert find_table(model, SIZE, tmp_path / "own.json") == own
    replace(own, setting=replace(own.setting, **change)).write(tmp_path / "other.json")
    with pytest.raises(InputError, match=message):
        latency(model, units, 2, 9, tmp_path / "other.json")


def test_a_table_of_another_network_and_files_that_hold_none(clock: list[int], tiny: Any, tmp_path: Path) -> None:
    model, other, file = tiny("bert").model, tiny("gpt2").model, tmp_path / "table.json"
    find_table(model, SIZE).write(file)
    with pytest.raises(InputError, match="network of other shapes"):
        latency(other, inventory(other), 2, 9, file)
    sound = json.loads(file.read_text())
    with pytest.raises(InputError, match="cannot read latency table"):
        latency(model, inventory(model), 2, 9, tmp_path / "none.json")
    curve = next(iter(sound["curves"]))
    for damaged in (
        "{",
        "[]",
        json.dumps({**sound, "format": 9}),
        json.dumps({**sound, "dense_ms": 0.1}),
        json.dumps({k: v for k, v in sound.items() if k != "curves"}),
        json.dumps({**sound, "curves": {curve: {"features": [0, 6], "ms": [0.0, -1.0]}}}),
        json.dumps({**sound, "setting": {**sound["setting"], "batch": "many"}}),
    ):
        file.write_text(damaged)
        with pytest.raises(InputError, match=r"table\.json"):
            latency(model, inventory(model), 2, 9, file)


@pytest.mark.parametrize(("batch", "length"), [(0, 9), (2, 0), (True, 9), (2, 1.5)])
def test_sizes_are_whole_numbers(batch: Any, length: Any, tiny: Any) -> None:
    model = tiny("bert").model
    with pytest.raises(InputError, match=r"(batch|length) = .*; valid: a whole number"):
        latency(model, inventory(model), batch, length)


@pytest.mark.parametrize(
    ("kind", "count", "expected"),
    [
        ("head", 4, [1, 2, 3, 4]),
        ("head", 32, [1, *range(2, 33, 2)]),
        ("ffn", 96, [2, 6, 12, 24, 36, 48, 60, 72, 84, 96]),
        ("ffn", 2, [1, 2]),
    ],
)
def test_grid_of_counts(kind: str, count: int, expected: list[int]) -> None:
    made = UNIT_KINDS.make(kind)
    site = Site("path", 0, made, slice(5, 5 + count), 1, count, "heads")
    assert [*made.timed_counts(site)] == expected


def test_isotonic_by_hand() -> None:
    assert isotonic(np.array([0.0, 3.0, 1.0, 2.0, 5.0, 5.0, 4.0])).tolist() == pytest.approx(
        [0, 2, 2, 2, 14 / 3] + 2 * [14 / 3]
    )
    assert isotonic(np.array([0.0, -1.0, 2.0])).tolist() == [0, 0, 2]


def test_steps_and_zero_cost_are_kept_by_a_curve() -> None:
    curve = Curve((0, 6, 12, 18), (0.0, 2.0, 2.0, 3.0))
    assert curve.at(np.array([0, 3, 6, 12, 15, 18.0])).tolist() == [0, 1, 2, 2, 2.5, 3]


def test_curves_are_scaled_to_the_whole_model_by_hand() -> None:
    curve, shapes = Curve((0, 2, 4, 8, 12, 16), (0.0, 1.0, 2.0, 4.0, 6.0, 8.0)), ["a", "a"]
    sizes = [[size, size] for size in curve.features]  # 16 features: at the shares at which wholes are timed
    linear = anchored({"a": curve}, shapes, sizes, [5.0, 7.0, 9.0, 13.0, 17.0, 21.0])
    assert linear["a"].ms == pytest.approx(curve.ms)
    slow = anchored({"a": curve}, shapes, sizes, [5.0, 8.0, 11.0, 17.0, 20.0, 21.0])  # 1.5 fold up to half
    assert slow["a"].ms == pytest.approx((0.0, 1.5, 3.0, 6.0, 7.5, 8.0))
    finer = anchored({"a": Curve((0, 10, 16), (0.0, 5.0, 8.0))}, shapes, sizes, [5.0, 8.0, 11.0, 17.0, 20.0, 21.0])
    assert finer["a"].ms == pytest.approx((0.0, 5.0 * (1.5 + 1.25) / 2, 8.0))
    few = anchored({"a": Curve((0, 1, 16), (0.0, 0.5, 8.0))}, shapes, sizes, [5.0, 8.0, 11.0, 17.0, 20.0, 21.0])
    assert few["a"].ms == pytest.approx((0.0, 0.75, 8.0))  # below the first share its scale holds
    with pytest.raises(InputError, match="latency cannot be measured here"):
        anchored({"a": curve}, shapes, sizes, [5.0] * 6)


@pytest.mark.nightly
def test_noise_never_makes_more_units_cheaper(monkeypatch: pytest.MonkeyPatch, tiny: Any) -> None:
    draw = np.random.default_rng(0)

    def noisy(functions: Sequence[Any], repeats: int) -> list[float]:
        return [simulated(function.func) / 1e3 * draw.uniform(1, 1.05) for function in functions]

    monkeypatch.setattr(latency_measure, "interleaved", noisy)
    model = tiny("bert").model
    units = inventory(model, block=8)
    table = measure(model, SIZE)
    assert isinstance(table.setting, Setting)
    assert (use_by_table(model, units, table).steps >= 0).all()
    monkeypatch.setattr(latency_measure, "interleaved", lambda functions, *_, **__: [1.0] * len(functions))
    with pytest.raises(InputError, match="latency cannot be measured here"):
        measure(model, SIZE)


@pytest.mark.nightly
def test_on_the_clock(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of a real, if tiny, model is sound, and neither measuring nor slicing touches the model."""
    monkeypatch.setenv("WALRAS_CACHE", str(tmp_path))
    monkeypatch.setattr(latency_measure, "_SECONDS", 0.5)
    model: nn.Module = tiny("modernbert").model
    before = {name: (id(p), p.detach().clone()) for name, p in model.named_parameters()}
    told: list[str] = []
    tell: Callable[[str], object] = told.append
    units = inventory(model, block=8)
    found = latency(model, units, 4, 64, tell=tell)
    assert len(told) == 1
    assert 0 < found.fixed < found.dense
    assert found.used(np.ones(len(units), dtype=bool)) == pytest.approx(found.dense)
    assert len(read_table(next(tmp_path.iterdir())).curves) == 3  # attention to all tokens, attention to near ones, FFN
    after = dict(model.named_parameters())
    assert all(id(after[name]) == place and torch.equal(after[name], old) for name, (place, old) in before.items())
    assert len(layer_paths(model)) == 3


def test_batches_of_pictures_and_of_sound(tiny: Any) -> None:
    """A square of patches and what the network puts before them make the tokens; else as the configuration says."""
    pictures = {("vit", 5): 8, ("vit", 7): 8, ("dinov2", 17): 16, ("deit", 6): 8, ("dinov2", 6): 8}
    for (family, length), side in pictures.items():
        assert sample_batch(tiny(family).model, 2, length)["pixel_values"].shape == (2, 3, side, side)
    model = tiny("whisper").model
    with torch.no_grad():
        assert model(**sample_batch(model, 2, 5)).encoder_last_hidden_state.shape == (2, 9, 24)


def test_by_name_with_a_table_and_for_other_kinds(clock: list[int], tiny: Any, tmp_path: Path) -> None:
    model = tiny("bert").model
    find_table(model, SIZE).write(tmp_path / "own.json")
    units, heads, blocks = (inventory(model, kinds, 8) for kinds in (None, ["head"], ["block"]))
    resource = RESOURCES.make(f"latency:batch=2,table={tmp_path / 'own.json'}")
    told: list[str] = []
    fine, some, whole = (resource.measure(model, u, Workload(length=9), told.append) for u in (units, heads, blocks))
    assert fine.dense == pytest.approx(some.dense) == pytest.approx(whole.dense)
    assert some.fixed == pytest.approx(CONSTANT + 3 * (0.01 + 0.2 + 0.002 * 40))  # whose FFNs are not for sale
    for layer in range(3):
        keep = blocks.layer != layer
        assert whole.used(keep) == pytest.approx(simulated(compact(model, blocks, keep)))
    assert told == []  # nothing was measured
