import copy
import importlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from walras.errors import InputError, WalrasError
from walras.experiments.benchmarks.peers import peer_textpruner_script, peers
from walras.experiments.benchmarks.peers.peer import Case, Peer, counted_macs, ratios
from walras.experiments.benchmarks.peers.peer_textpruner import TextPruner
from walras.experiments.benchmarks.peers.peer_torch_pruning import Global, Local, TorchPruning, accumulated, pruned
from walras.experiments.spec import RunSpec, SubjectSpec
from walras.experiments.subjects.subject import find_task
from walras.models import compact, inventory, macs
from walras.models.loading import load

ROW = peers.Row("local", 0.5, 0, 1234567.0, 0.625, 0.75, 3.5)
LENGTH = 16


@pytest.fixture
def case(models: Path, glue: Path) -> Case:
    model, tokenizer = load(str(models / "bert"), device="cpu")
    task = find_task(SubjectSpec(task="stsb", data=str(glue)))
    batches = task.calibration(tokenizer, sentences=16, seed=0, batch_size=4, length=LENGTH)
    return Case(str(models / "bert"), model, task.objective(model, False), batches, LENGTH)


@dataclass(frozen=True)
class Half(Peer):
    """Keeps the first half of every sub-layer, whatever the budget."""

    calls: list[float]
    name: ClassVar[str] = "half"

    def missing(self) -> str:
        return ""

    def smaller(self, case: Case, macs: float) -> nn.Module:
        self.calls.append(macs)
        units = inventory(case.model, block=1)
        return compact(case.model, units, units.index < np.where(units.kind == "head", 2, 32))


@pytest.mark.parametrize("wanted", [0.75, 0.6, 0.5, 0.4, 0.123])
def test_one_ratio_for_both_where_macs_are_smooth(wanted: float) -> None:
    heads, ffn = ratios(lambda h, f: 1 - 0.4 * h - 0.6 * f, wanted)
    assert heads == ffn
    assert 1 - ffn == pytest.approx(wanted, rel=0.001)


@pytest.mark.parametrize("wanted", [0.75, 0.6, 0.5, 0.4])
def test_neurons_make_up_for_heads_that_leave_in_steps(wanted: float) -> None:
    def left(heads: float, ffn: float) -> float:
        return 0.4 * (3 - int(3 * heads + 0.5)) / 3 + 0.6 * (1536 - int(1536 * ffn)) / 1536

    heads, ffn = ratios(left, wanted)
    assert left(heads, ffn) == pytest.approx(wanted, rel=0.01)
    # One ratio for both would have missed somewhere: thirds of the heads are 13 % of all MACs.
    assert (heads != ffn) == (wanted in (0.5,))


def test_the_nearest_where_no_ratio_fits() -> None:
    def left(heads: float, ffn: float) -> float:
        return 0.5 * (heads < 0.5) + 0.5 * (ffn < 0.5)

    assert left(*ratios(left, 0.9)) == 1
    assert left(*ratios(left, 0.55)) == 0.5
    assert left(*ratios(left, 0.2)) == 0


def test_counted_macs_are_the_cost_models(case: Case) -> None:
    case.model.config._attn_implementation = "sdpa"  # type: ignore[union-attr]
    units = inventory(case.model, block=1)
    assert counted_macs(case.model, LENGTH) == macs(case.model, units, LENGTH).dense
    assert case.model.config._attn_implementation == "sdpa"  # type: ignore[union-attr]
    half = Half([]).smaller(case, 0)
    assert counted_macs(half, LENGTH) == counted_macs(case.model, LENGTH) / 2


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "below" / "peers.csv"
    assert peers.read_rows(file) == []
    rows = [ROW, replace(ROW, seed=1, budget=0.4)]
    peers.write_rows(file, rows)
    assert peers.read_rows(file) == rows
    assert file.read_text().startswith("peer,budget,seed,macs,value,dense,seconds\nlocal,0.5,0,1234567,")


@pytest.mark.parametrize("text", ["recipe,budget\nwalras,0.5\n", "peer,budget,seed,macs,value,dense,seconds\na,b\n"])
def test_a_foreign_file_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "frontier.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=r"frontier.csv.*no rows of this benchmark"):
        peers.read_rows(file)


def test_finished_rows_are_not_run_again(models: Path, glue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"model": str(models / "bert"), "task": "stsb", "data": str(glue), "device": "cpu", "sentences": 8}
    spec = RunSpec.parse({**given, "length": LENGTH})
    half, dense = Half([]), counted_macs(load(spec.subject.model, device="cpu").model, LENGTH)
    first = peers.run([half], spec, [0], [])
    rows = [next(first), next(first)]
    assert [(row.budget, row.seed) for row in rows] == [(0.75, 0), (0.6, 0)]
    assert half.calls == [0.75 * dense, 0.6 * dense]
    assert {row.macs for row in rows} == {dense / 2}
    half.calls.clear()
    rows += peers.run([half], spec, [0, 1], rows)
    assert half.calls == [b * dense for b in (0.5, 0.4, 0.75, 0.6, 0.5, 0.4)]
    assert len({row.key for row in rows}) == 8
    monkeypatch.setattr(peers, "load", None)  # nothing left to do: nothing is loaded
    assert [*peers.run([half], spec, [0, 1], rows)] == []


def test_textpruner_is_skipped_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = Half([])
    for folder in (None, tmp_path):
        assert peers.available([half, TextPruner(folder)]) == [half]
        told = " ".join(capsys.readouterr().out.split())
        assert "textpruner: skipped, no textpruner in --textpruner" in told
        assert "transformers==4.57.6" in told
    (tmp_path / "textpruner").mkdir()
    assert len(peers.available([half, TextPruner(tmp_path)])) == 2


def test_torch_pruning_that_is_absent_is_an_error_with_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install torch-pruning==1\.6\.1"):
        peers.available([Local()])


STAND_IN = """
import pathlib, shutil, sys
model, batches, heads, neurons, iterations, out = sys.argv[1:]
assert (heads, neurons, iterations) == ("2", "32", "16")
assert pathlib.Path(batches).is_file()
shutil.copy("FOUND", out)
"""


@pytest.fixture
def stand_in(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """TextPruner played by a script that keeps the last heads and neurons of every layer; and what that cuts."""
    units = inventory(case.model, block=1)
    small = compact(case.model, units, units.index >= np.where(units.kind == "head", 2, 32))
    hidden = small(**{name: x for name, x in case.batches[0].items() if name != "labels"}).last_hidden_state.detach()
    rows = {"heads": torch.arange(4).expand(2, -1) >= 2, "neurons": torch.arange(64).expand(2, -1) >= 32}
    torch.save({**rows, "hidden": hidden}, tmp_path / "found.pt")
    (tmp_path / "script.py").write_text(STAND_IN.replace("FOUND", str(tmp_path / "found.pt")))
    monkeypatch.setattr(peer_textpruner_script, "__file__", str(tmp_path / "script.py"))
    return small


def test_what_textpruner_keeps_is_cut(case: Case, stand_in: nn.Module, tmp_path: Path) -> None:
    peer, wanted = TextPruner(tmp_path), counted_macs(case.model, LENGTH) / 2
    small = peer.smaller(case, wanted)
    for name, weight in stand_in.state_dict().items():
        assert torch.equal(small.state_dict()[name], weight), name
    found = torch.load(tmp_path / "found.pt")
    torch.save({**found, "hidden": found["hidden"] + 1e-3}, tmp_path / "found.pt")
    with pytest.raises(WalrasError, match=r"differ by 0\.001"):
        peer.smaller(case, wanted)
    (tmp_path / "script.py").write_text("raise SystemExit('no such model')")
    with pytest.raises(WalrasError, match="exit code 1: no such model"):
        peer.smaller(case, wanted)


@pytest.mark.nightly
@pytest.mark.parametrize("peer", [Local(), Global()], ids=lambda peer: peer.name)
def test_torch_pruning_slices_to_the_budget(peer: TorchPruning, case: Case) -> None:
    pytest.importorskip("torch_pruning", reason="torch-pruning is not installed")
    before = copy.deepcopy(case.model.state_dict())
    dense = counted_macs(case.model, LENGTH)
    small: Any = peer.smaller(case, 0.6 * dense)
    assert counted_macs(small, LENGTH) == pytest.approx(0.6 * dense, rel=0.01)
    hidden = small(**{name: x for name, x in case.batches[0].items() if name != "labels"}).last_hidden_state
    assert hidden.shape[-1] == 32
    assert len(inventory(small, block=1)) < len(inventory(case.model, block=1))
    assert all(torch.equal(before[name], weight) for name, weight in case.model.state_dict().items())
    assert all(p.grad is None for p in case.model.parameters())


def test_torch_pruning_removes_what_taylor_says(case: Case) -> None:
    pytest.importorskip("torch_pruning", reason="torch-pruning is not installed")
    gradients = accumulated(case)
    small: Any = pruned(case, gradients, 0.5, 0.5, everywhere=False)
    for number, layer in enumerate(small.encoder.layer):
        path = f"encoder.layer.{number}"
        dense: Any = case.model.get_submodule(path)
        # |weight * gradient| of a neuron's row in the first map, and of its column in the second, averaged
        inner, outer = dense.intermediate.dense, dense.output.dense
        saliency = [
            (w * gradients[f"{path}.{name}.dense.weight"]).abs()
            for name, w in (("intermediate", inner.weight), ("output", outer.weight))
        ]
        score = saliency[0].sum(1) + saliency[1].sum(0)
        kept = score.argsort(descending=True)[:32].sort().values
        assert torch.equal(layer.intermediate.dense.weight, inner.weight[kept])
        assert layer.attention.self.num_attention_heads == 2
        assert layer.attention.self.all_head_size == 16
