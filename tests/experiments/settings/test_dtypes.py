"""A network in half the memory: `--dtype bfloat16`, from the run to an export and back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import walras
from walras.errors import InputError
from walras.experiments.export import small_model
from walras.experiments.spec import DTYPES, RunSpec
from walras.models.loading import load, torch_dtype


def test_both_tables_of_number_types_agree() -> None:
    assert [torch_dtype(name) for name in DTYPES] == ["auto", torch.float32, torch.bfloat16, torch.float16]
    for name in ("float8", "int8", ""):
        with pytest.raises(InputError, match=r"dtype is .*; it must be one of: auto, float32, bfloat16, float16"):
            torch_dtype(name)
        with pytest.raises(InputError, match=r"dtype is .*; it must be one of: auto, float32, bfloat16, float16"):
            RunSpec.parse({"dtype": name})


@pytest.mark.parametrize("family", ["llama", pytest.param("bert", marks=pytest.mark.nightly)])
def test_a_run_in_bfloat16(family: str, walras: Callable[..., Any], models: Path, lines: Path) -> None:
    """It is loaded, traded on, repaired, kept and exported in that type, and is about as good as in float32."""
    found: dict[str, float] = {}
    for dtype in ("bfloat16", "float32"):
        answer = walras(
            "run", "--model", models / family, "--task", "text", "--data", lines, "--dtype", dtype, "--budget", 0.6,
            "--block", 8, "--sentences", 8, "--length", 16, "--out", dtype, "--json",
        )  # fmt: skip
        assert answer.code == 0, answer.err
        found[dtype] = json.loads(answer.out)["metric"]["value"]
    assert found["bfloat16"] == pytest.approx(found["float32"], rel=0.1)
    assert found["bfloat16"] != found["float32"]
    run = Path("bfloat16")
    spec = RunSpec.read(run / "config.yaml", {}, ())
    assert spec.subject.dtype == "bfloat16"
    *_, small = small_model(run, spec)
    assert {p.dtype for p in small.parameters()} == {torch.bfloat16}
    answer = walras("export", run, "--out", "small")
    assert answer.code == 0, answer.err
    again, _ = _reloaded(Path("small"))
    given = {"input_ids": torch.arange(2, 14).view(1, 12)}
    with torch.no_grad():
        one, other = (model(**given)[0].float() for model in (small, again))
    torch.testing.assert_close(one, other, rtol=0.02, atol=0.02)


def _reloaded(folder: Path) -> Any:
    loaded = load(str(folder), "auto")
    assert {p.dtype for p in loaded.model.parameters()} == {torch.bfloat16}
    assert walras.load_model(folder).dtype == torch.bfloat16
    return loaded
