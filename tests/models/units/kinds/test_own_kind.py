"""A kind of unit and a resource of a user's own, from a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from walras.errors import InputError, UnknownNameError
from walras.models import RESOURCES, UNIT_KINDS, Usage, Workload, compact, gated, inventory, macs
from walras.models.export.checkpoints import save
from walras.models.export.reloading import load_model

PAIRS = '''
"""Heads that are kept or lost in groups of neighbours."""

from dataclasses import dataclass
from typing import ClassVar

from walras.models.units.kinds.coarser_kind import CoarserKind
from walras.models.units.kinds.heads import Heads


@dataclass(frozen=True)
class Groups(CoarserKind):
    """A number of neighbouring heads."""

    size: int = 2
    name: ClassVar[str] = "group"
    letter: ClassVar[str] = "G"

    def sites(self, layer):
        return (self.grouped(site, self.size) for site in Heads().sites(layer))

    def finer(self, site):
        return Heads()
'''

ENERGY = '''
"""Energy of a pass, in proportion to the weights that are read and to the arithmetic."""

from dataclasses import dataclass
from typing import ClassVar

from walras.models import RESOURCES, Resource, Usage


@dataclass(frozen=True)
class Energy(Resource):
    """Joules of one pass."""

    per_byte: float = 1e-9
    name: ClassVar[str] = "energy"
    unit: ClassVar[str] = "J"

    def measure(self, model, inventory, workload, tell):
        bytes_read = RESOURCES.make("bytes").measure(model, inventory, workload).own
        macs = RESOURCES.make("macs").measure(model, inventory, workload).own
        return Usage.additive_use(self.name, self.unit, inventory, self.per_byte * bytes_read + 1e-12 * macs)
'''


@pytest.mark.spread
@pytest.mark.parametrize(("name", "size"), [("bert", 3), ("mpnet", 2), ("gpt2", 2), ("gpt_neox", 3), ("llama", 2)])
def test_a_kind_from_a_file(name: str, size: int, tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "pairs.py").write_text(PAIRS, encoding="utf-8")
    tested = tiny(name)
    units = inventory(tested.model, [f"{tmp_path / 'pairs.py'}:Groups:size={size}", "ffn:neurons=16"])
    groups = -(-(3 if name == "llama" else 4) // size)
    assert units.kinds == ("group", "ffn")
    assert [units.name(i) for i in range(groups + 1)] == [*(f"L0.G{i}" for i in range(groups)), "L0.F0"]
    compute, draw = macs(tested.model, units, tested.length), np.random.default_rng(0)
    for keep in (np.ones(len(units), dtype=bool), *(draw.random((3, len(units))) < [[0.8], [0.5], [0.2]])):
        small = compact(tested.model, units, keep)
        counter = FlopCounterMode(display=False)
        with torch.no_grad():
            with gated(tested.model, units, torch.from_numpy(keep).float()):
                zeroed = tested.logits()
            torch.testing.assert_close(tested.logits(small), zeroed, rtol=0, atol=1e-5)
            save(small, None, tmp_path / "small", overwrite=True)
            again = load_model(tmp_path / "small", attn_implementation="eager")
            assert torch.equal(tested.logits(again), tested.logits(small))
            with counter:
                tested.logits(small, **tested.row(0))
        within = [sum(v.values()) for k, v in counter.get_flop_counts().items() if k == "Global"]
        assert compute.used(keep) <= within[0] / 2
        assert compute.used(keep) == macs(small, inventory(small), tested.length).dense


def test_a_resource_from_a_file(tiny: Any, tmp_path: Path) -> None:
    file = tmp_path / "energy.py"
    file.write_text(ENERGY, encoding="utf-8")
    model = tiny("bert").model
    units = inventory(model)
    used = RESOURCES.make(f"{file}:Energy:per_byte=1").measure(model, units, Workload(), print)
    held = RESOURCES.make("bytes").measure(model, units, Workload())
    assert used.additive
    assert used.own == pytest.approx(held.own, rel=1e-6)
    assert used.share.sum() == pytest.approx(1)
    assert used.used(units.layer > 0) == pytest.approx(used.dense * 2 / 3)


def test_bad_names_parameters_and_amounts(tiny: Any) -> None:
    model = tiny("bert").model
    units = inventory(model)
    with pytest.raises(UnknownNameError, match="unknown resource 'joules'"):
        RESOURCES.make("joules")
    with pytest.raises(UnknownNameError, match="unknown parameter of unit kind ffn 'neuron'"):
        UNIT_KINDS.make("ffn:neuron=3")
    with pytest.raises(InputError, match="block = 0"):
        inventory(model, ["ffn:neurons=0"])
    for own, message in ((units.width[:-1] * 1.0, "finite numbers, one per unit"), (-1.0 * units.width, "below 0")):
        with pytest.raises(InputError, match=message):
            Usage.additive_use("mine", "J", units, own.astype(np.float64))


def test_units_of_some_kinds_only_leave_the_rest_in_place(family: str, tiny: Any) -> None:
    tested = tiny(family)
    whole, heads = inventory(tested.model), inventory(tested.model, ["head"])
    assert heads.kinds == ("head",)
    for name in ("macs", "parameters", "bytes"):
        work = Workload(length=tested.length)
        fine, some = (RESOURCES.make(name).measure(tested.model, units, work) for units in (whole, heads))
        assert some.dense == fine.dense
        keep = heads.index > 0
        assert some.used(keep) == fine.used(np.where(whole.kind == "head", whole.index > 0, True))
        assert some.fixed == fine.used(whole.kind == "ffn") > 0
