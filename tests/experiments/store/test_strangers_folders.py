"""What a stranger's folder says is data: it never names code that runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from walras.errors import InputError
from walras.experiments.observing.config import ObserveConfig
from walras.experiments.settings.trust import as_data, code_named
from walras.experiments.spec import RunSpec
from walras.experiments.training.config import TrainConfig

Walras = Callable[..., Any]
EVIL = "from pathlib import Path\nPath('RAN').touch()\n"
RULE = EVIL + (
    "from walras import Clearing, Mechanism\n"
    "class Equal(Mechanism):\n"
    "    def clear(self, bids, supply, cost):\n"
    "        import torch\n"
    "        price = bids.reservation_price()\n"
    "        return Clearing(torch.zeros_like(price), torch.zeros(*price.shape[:-1], 1))\n"
)


@pytest.fixture
def run(walras: Walras, models: Path, lines: Path, no_pictures: None) -> Path:
    """A finished run from somebody else, with Python files beside it."""
    base = ("--model", models / "bert", "--task", "text", "--data", lines, "--rounds", 1, "--block", 16, "--length", 16)
    assert walras("run", *base, "--recipe", "none", "--out", "r").code == 0
    Path("x.py").write_text(RULE)
    return Path("r")


def rewrite(config: Path, **changes: Any) -> None:
    """Change settings in a file, whichever section they are in."""
    tree = yaml.safe_load(config.read_text())
    for name, value in changes.items():
        section = next(s for s in (tree, *(v for v in tree.values() if isinstance(v, dict))) if name in s)
        section[name] = value
    config.write_text(yaml.safe_dump(tree))


NAMING = [
    {"task": "x.py:T"}, {"mechanism": "x.py:Equal"}, {"valuation": {"name": "x.py:V", "rate": 3}},
    {"units": ["head", "x.py:Pair"]}, {"strategy": "truthful=0.5+x.py:S=0.5"}, {"recipe": "x.yaml"},
    {"budget": {"x.py:Energy": 0.5}},
]  # fmt: skip


@pytest.mark.spread
@pytest.mark.parametrize("changes", NAMING, ids=lambda changes: next(iter(changes)))
def test_a_run_that_names_code_runs_none(run: Path, walras: Walras, changes: dict[str, Any]) -> None:
    Path("x.yaml").write_text("mechanism: x.py:Equal\n")
    rewrite(run / "config.yaml", **changes)
    shown = "x.yaml" if "recipe" in changes else "x.py"
    for command in (("export", run, "--out", "small"), ("run", "--config", run / "config.yaml", "--out", "again")):
        message = walras(*command).error
        assert f"names code to run: {shown}." in message
        assert f"name it here: --code {shown}" in message
    assert not Path("RAN").exists()
    assert not Path("again").exists()
    assert not Path("small").exists()


def test_code_that_is_named_here_runs(run: Path, walras: Walras) -> None:
    rewrite(run / "config.yaml", mechanism="x.py:Equal")
    base = ("run", "--config", run / "config.yaml", "--out", "again")
    assert walras(*base, "--code", "x.py").code == 0
    assert Path("RAN").exists()
    Path("RAN").unlink()
    assert walras(*base, "--mechanism", "x.py:Equal", "--overwrite").code == 0
    assert Path("RAN").exists()


def test_a_file_does_not_trust_a_models_own_code(run: Path, walras: Walras, models: Path) -> None:
    own = Path("own")
    own.mkdir()
    for file in (models / "bert").iterdir():
        (own / file.name).write_bytes(file.read_bytes())
    config = json.loads((own / "config.json").read_text())
    config |= {"auto_map": {"AutoModel": "evil.Own", "AutoConfig": "evil.OwnConfig"}, "model_type": "own"}
    (own / "config.json").write_text(json.dumps(config))
    (own / "evil.py").write_text(EVIL.replace("'RAN'", repr(str(Path("RAN").resolve()))))
    rewrite(run / "config.yaml", model=str(own), trust_remote_code=True)
    assert walras("export", run, "--out", "small").code == 2
    assert walras("run", "--config", run / "config.yaml", "--out", "again").code == 2
    assert not Path("RAN").exists()
    told = RunSpec.read(run / "config.yaml", {})
    assert told.subject.trust_remote_code is False
    assert RunSpec.read(run / "config.yaml", {"trust_remote_code": True}).subject.trust_remote_code is True


def test_cells_of_an_earlier_version_run_nothing(walras: Walras, models: Path, lines: Path, no_pictures: None) -> None:
    Path("x.py").write_text(RULE)
    Path("r/cells/old").mkdir(parents=True)
    Path("r/cells/old/config.yaml").write_text("mechanism: x.py:Equal\n")
    Path("r/cells/old/result.json").write_text("{}")
    text = ("--model", models / "bert", "--task", "text", "--data", lines, "--length", 16, "--sentences", 8)
    assert walras("compare", *text, "--recipe", "random", "--seeds", 1, "--executor", "serial", "--out", "r").code == 0
    assert not Path("RAN").exists()


@pytest.mark.parametrize("kind", [RunSpec, TrainConfig, ObserveConfig])
def test_every_kind_of_settings_is_data(kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.py").write_text(EVIL)
    Path("c.yaml").write_text("subject: {task: x.py:T, trust_remote_code: true}\n")
    with pytest.raises(InputError, match=r"names code to run: x\.py"):
        kind.read("c.yaml", {})
    assert not Path("RAN").exists()


def test_names_of_files_with_marks_in_them() -> None:
    named = [
        files[0] for files in code_named({"a": ["one.py:X+a+b/two.py:Y", {"b c.py:Z:rate=3": 1}], "d": "copy.pyc"})
    ]
    assert named == ["one.py", "one.py:X+a+b/two.py", "b c.py"]
    assert as_data({"a": "b c.py:Z"}, "f", {}, ["b c.py"]) == {"a": "b c.py:Z"}
    assert as_data({"a": "./c.py:Z"}, "f", {"b": "c.py:Z"}, []) == {"a": "./c.py:Z"}
    with pytest.raises(InputError, match="names code"):
        as_data({"a": "c.py:Z"}, "f", {"b": "d.py:Z"}, ["e.py"])
