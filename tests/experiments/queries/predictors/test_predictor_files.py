"""A predictor's folder: what is written stays together, and what does not belong together is refused."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from walras.errors import InputError
from walras.experiments.queries.predictors import (
    Encoder,
    Ridge,
    check_place,
    load_predictor,
    save_predictor,
)
from walras.files import folders
from walras.files.locks import BusyError, one_writer

Walras = Callable[..., Any]
TEXTS = [f"the cat sat {'step ' * (i % 9)}" for i in range(40)]
NEED = np.array([50.0 * (1 + i % 9) for i in range(40)])
SETTINGS, TENSORS = "predictor.json", "predictor.safetensors"


@pytest.fixture(scope="module")
def ridge() -> Any:
    return Ridge(size=32).fit(TEXTS, NEED, 2048.0)


@pytest.fixture
def folder(tmp_path: Path, ridge: Any) -> Path:
    save_predictor(ridge, tmp_path / "p")
    return tmp_path / "p"


def change(folder: Path, **tensors: torch.Tensor | None) -> None:
    """Other tensors in a folder, and settings that say they belong there, as who wants to fool us would write."""
    content = load_file(folder / TENSORS)
    for name, tensor in tensors.items():
        content.pop(name, None)
        if tensor is not None:
            content[name] = tensor
    save_file(content, folder / TENSORS)
    told = json.loads((folder / SETTINGS).read_text())
    del told["tensors"]  # as older versions wrote it
    (folder / SETTINGS).write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": torch.full((2, 40), float("nan"), dtype=torch.float64)}, "weight holds values that are not finite"),
        ({"mean": torch.full((40,), float("inf"), dtype=torch.float64)}, "mean holds values that are not finite"),
        ({"weight": torch.zeros(2, 39)}, r"tensor weight is torch.float32 \[2, 39\]; it must be real \[2, 40\]"),
        ({"weight": torch.zeros(40, 2)}, "tensor weight"),
        ({"bias": torch.zeros(3)}, "tensor bias"),
        ({"bias": torch.zeros(2, dtype=torch.bool)}, "tensor bias is torch.bool"),
        ({"scale": torch.zeros(40)}, "scales above 0"),
        ({"mean": torch.zeros(4), "scale": torch.ones(4), "weight": torch.zeros(2, 4)}, "more than 8 columns"),
        ({"mean": None}, "tensor 'mean' is missing"),
        ({"extra": torch.zeros(1)}, "tensor 'extra' is no part of it"),
    ],
)
def test_unsound_tensors_of_a_ridge_are_refused(folder: Path, tensors: Any, message: str) -> None:
    change(folder, **tensors)
    with pytest.raises(InputError, match=message):
        load_predictor(folder)


def test_unsound_tensors_of_an_encoder_are_refused(models: Path, tmp_path: Path) -> None:
    fitted = Encoder(model=str(models / "bert"), epochs=1, device="cpu").fit(TEXTS[:20], NEED[:20], 100.0)
    folder, (tensors, _) = tmp_path / "p", fitted.state()
    save_predictor(fitted, folder)
    name = next(name for name in tensors if tensors[name].ndim == 2)
    broken: tuple[tuple[dict[str, torch.Tensor | None], str], ...] = (
        ({"head.bias": torch.tensor([float("nan"), 0.0])}, "head.bias holds values that are not finite"),
        ({"head.bias": torch.zeros(3)}, "tensor head.bias"),
        ({"head.bias": torch.zeros(2), name: tensors[name][:-1]}, f"tensor {name}"),
        ({name: None}, "is missing"),
    )
    for changed, message in broken:
        save_predictor(fitted, folder)
        change(folder, **changed)
        with pytest.raises(InputError, match=message):
            load_predictor(folder)
    save_predictor(fitted, folder)
    for key, value in (("scale", 0), ("mean", float("nan")), ("cap", "x"), ("model", 7), ("model", str(tmp_path))):
        told = json.loads((folder / SETTINGS).read_text())
        told["settings"] |= {key: value}
        (tmp_path / "q").mkdir(exist_ok=True)
        (tmp_path / "q" / TENSORS).write_bytes((folder / TENSORS).read_bytes())
        (tmp_path / "q" / SETTINGS).write_text(json.dumps(told))
        with pytest.raises(InputError, match=key):
            load_predictor(tmp_path / "q")


def test_numbers_that_overflow_are_no_prediction(folder: Path) -> None:
    change(
        folder, weight=torch.full((2, 40), 3e38, dtype=torch.float64), scale=torch.full((40,), 1e-300).double() + 1e-300
    )
    with pytest.raises(InputError, match="predicts what is no number"):
        load_predictor(folder).predict(["a b c"])


def test_settings_and_tensors_of_two_trainings_are_refused(folder: Path, tmp_path: Path) -> None:
    old = (folder / SETTINGS).read_bytes()
    save_predictor(Ridge(size=32).fit(TEXTS, 3 * NEED, 2048.0), folder)
    load_predictor(folder)
    (folder / SETTINGS).write_bytes(old)  # new tensors with old settings
    with pytest.raises(InputError, match=r"is not the file that predictor\.json was written with"):
        load_predictor(folder)


def test_older_predictors_are_read(folder: Path, ridge: Any) -> None:
    told = json.loads((folder / SETTINGS).read_text())
    assert len(told.pop("tensors")) == 64
    (folder / SETTINGS).write_text(json.dumps(told))
    assert (load_predictor(folder).predict(TEXTS).threshold == ridge.predict(TEXTS).threshold).all()


@pytest.mark.parametrize("moves", [True, False])
def test_killed_while_it_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch, moves: bool) -> None:
    """Wherever it dies: the old predictor, the new one, or none, never a mixture."""
    from walras.experiments.queries.predictors import files

    before = load_predictor(folder).predict(TEXTS).threshold
    new = Ridge(size=32).fit(TEXTS, 3 * NEED, 2048.0)
    after = new.predict(TEXTS).threshold
    monkeypatch.setattr(files, "movable", lambda place: moves)
    outcomes = set()
    for step in range(4):
        steps = iter(range(4))

        def write(place: Path, content: Any, last: int = step, steps: Any = steps) -> None:
            if next(steps) == last:
                raise KeyboardInterrupt
            Path(place).write_bytes(content.encode() if isinstance(content, str) else content)

        monkeypatch.setattr(files, "write_whole", write)
        with suppress(KeyboardInterrupt):
            save_predictor(new, folder)
        try:
            found = load_predictor(folder).predict(TEXTS).threshold
        except InputError:
            outcomes.add("none")
            continue
        outcomes.add("new" if (found == after).all() else "old" if (found == before).all() else "mixture")
    assert outcomes == ({"old", "new"} if moves else {"none", "new"})
    assert sorted(path.name for path in folder.parent.iterdir()) == ["p"]


def test_a_place_that_is_not_a_predictors_is_refused(walras: Walras, tmp_path: Path, folder: Path, ridge: Any) -> None:
    for name, inside in (("foreign", "notes.txt"), ("both", "notes.txt")):
        place = tmp_path / name
        place.mkdir()
        (place / inside).write_text("mine")
        if name == "both":
            (place / SETTINGS).write_text("{}")
        found = walras("learn", tmp_path / "missing.jsonl", "--out", place).error  # before anything is read
        assert "holds 'notes.txt', which is no part of a predictor" in found
        with pytest.raises(InputError, match="no part of a predictor"):
            save_predictor(ridge, place)
        assert (place / inside).read_text() == "mine"
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        check_place(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", folder, tmp_path / "new" / "deep"):
        save_predictor(ridge, place)
        load_predictor(place)


def test_a_predictor_in_the_folder_that_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ridge: Any) -> None:
    """It is not moved from under the feet of whoever stands in it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    save_predictor(ridge, Path("."))
    assert not folders.movable(Path("."))
    assert sorted(p.name for p in Path.cwd().iterdir()) == [SETTINGS, TENSORS]
    load_predictor(Path("."))


def test_two_writers_of_one_predictor(folder: Path, ridge: Any) -> None:
    with one_writer(folder), pytest.raises(BusyError, match="is being written by process"):
        check_place(folder)
    save_predictor(ridge, folder)


def test_a_predictor_names_no_code(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    told = json.loads((folder / SETTINGS).read_text())
    (folder / SETTINGS).write_text(json.dumps({**told, "predictor": f"{own}:Mine"}))
    with pytest.raises(InputError, match="unknown predictor"):
        load_predictor(folder)
    assert not (tmp_path / "ran").exists()
