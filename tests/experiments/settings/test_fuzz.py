"""Files of settings as strangers leave them: read or refused."""

import json
from pathlib import Path

import pytest
from fuzzing import damaged_bytes, damaged_json, fuzzed, read_or_refused
from hypothesis import given
from hypothesis import strategies as st

from walras.errors import InputError
from walras.experiments.spec import RunSpec
from walras.files.plain_data import parse_yaml

SOUND = RunSpec.parse({"task": "text", "data": "lines.txt", "recipe": "none", "shock": "disable:L3.H7@2"}).as_yaml()
TREE = parse_yaml(SOUND)


def read(file: Path) -> RunSpec | None:
    return read_or_refused(RunSpec.read, file, {})


@fuzzed
@given(content=damaged_json(json.loads(json.dumps(TREE))) | damaged_bytes(SOUND.encode()))
def test_damaged_settings(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(content)
    spec = read(tmp_path / "s.yaml")
    if spec is not None:  # and what is read is written again
        (tmp_path / "again.yaml").write_text(spec.as_yaml(), encoding="utf-8")
        assert read(tmp_path / "again.yaml") is not None


VALUES = (
    "!!set {a}", "!!binary aGk=", "2020-12-12", "1:2:3", "0x" + "f" * 5000, "~", ".nan", ".inf", "1e999", "!!x 1",
    "{? [1]: 2}", "&a [*a]", "<<: 1", "'a\\0b'", '"\\ud800"', '"\\x1b[31m"', "[" * 200, "1_000", "0b1", "-",
)  # fmt: skip


@fuzzed
@given(name=st.sampled_from([*TREE, *TREE["subject"], *TREE["market"]]), value=st.sampled_from(VALUES))
def test_what_only_yaml_has(name: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(f"{name}: {value}\n")
    read(tmp_path / "s.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("shock: 2020-13-45", "cannot read config file .*month must be in 1..12"),
        ("shock: 2020-12-12", r"shock is datetime\.date\(2020, 12, 12\); it must be of type str"),
        ("seed: " + "9" * 5000, "cannot read config file .*digits"),
        ("seed: 0x" + "f" * 5000, "holds a number of more than 300 digits"),
        ("endowment: 1" + "0" * 290, r"endowment is .*|"),
        ("a: " + "[" * 3000, "nested too deeply"),
        ('data: "\\ud800"', "config file"),
    ],
)
def test_one_by_one(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(content)
    if message.endswith("|"):
        read(tmp_path / "s.yaml")
        return
    with pytest.raises(InputError, match=message):
        RunSpec.read(tmp_path / "s.yaml", {})
