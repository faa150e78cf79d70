"""The phase `last-norm` in whole runs: what it changes is written, exported and read back, and nothing else differs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import walras as library


def files(walras: Callable[..., Any], model: Path, lines: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Tensors of a run without the phase, and of one with it."""
    found = {}
    for name, phases in (("plain", ()), ("refit", ("--phases", "last-norm"))):
        told = walras(
            "run", "--model", model, "--task", "text", "--data", lines, "--length", 16, "--sentences", 8,
            "--budget", 0.5, "--repair", "least_squares", "--out", name, *phases,
        )  # fmt: skip
        assert told.code == 0, told.err
        found[name] = load_file(Path(name) / "weights.safetensors")
    return found


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_only_the_norm_differs_and_comes_back(name: str, walras: Any, models: Path, lines: Path) -> None:
    found = files(walras, models / name, lines)
    norm = {"llama": {"model.norm.weight"}, "gpt2": {"transformer.ln_f.weight", "transformer.ln_f.bias"}}[name]
    assert set(found["refit"]) == set(found["plain"]) | norm
    assert all(torch.equal(found["refit"][key], tensor) for key, tensor in found["plain"].items())
    assert walras("export", "refit", "--out", "small").code == 0
    small = library.load_model("small").state_dict()
    assert all(torch.equal(small[key], found["refit"][key]) for key in norm)


def test_an_encoder_stays_as_it_is(walras: Any, models: Path, lines: Path) -> None:
    found = files(walras, models / "bert", lines)
    assert set(found["refit"]) == set(found["plain"])
    assert all(torch.equal(found["refit"][key], tensor) for key, tensor in found["plain"].items())


def test_without_a_repair_it_is_refused(walras: Any, models: Path, lines: Path) -> None:
    told = walras(
        "run", "--model", models / "llama", "--task", "text", "--data", lines, "--phases", "last-norm",
        "--repair", "none", "--out", "r",
    )  # fmt: skip
    assert "phase that RefitLastNorm follows" in told.error
