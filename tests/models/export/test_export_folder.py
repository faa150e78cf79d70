"""An export is written whole or not at all, and only over another export."""

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from walras.errors import InputError
from walras.models.export.checkpoints import save


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class Failing:
    """A tokenizer that cannot be written."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def save_pretrained(self, folder: Path) -> None:
        (folder / "tokenizer.json").write_text("half")
        raise self.error


FULL = "No space left on device"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, FULL), SafetensorError(FULL), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_what_was_there(error: BaseException, tiny: Any, tmp_path: Path) -> None:
    model = tiny("bert").model
    with pytest.raises((InputError, KeyboardInterrupt)):
        save(model, Failing(error), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    save(model, None, tmp_path / "out", card="old")
    before = contents(tmp_path)
    with pytest.raises((InputError, KeyboardInterrupt)) as caught:
        save(model, Failing(error), tmp_path / "out", card="new", overwrite=True)
    assert contents(tmp_path) == before
    assert isinstance(error, KeyboardInterrupt) or f"{FULL}; what was there" in str(caught.value)


@pytest.mark.nightly
def test_weights_for_which_there_is_no_room(tiny: Any, tmp_path: Path) -> None:
    """A real full disk: a limit on the size of files, in a process of its own."""
    tiny("bert").model.save_pretrained(tmp_path / "stock")
    save(tiny("bert").model, None, tmp_path / "out", card="old")
    before = contents(tmp_path)
    code = (
        "import resource, signal, transformers\n"
        "from walras.models.export.checkpoints import save\n"
        "from walras.errors import InputError\n"
        "model = transformers.BertForSequenceClassification.from_pretrained('stock')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try:\n    save(model, None, 'out', card='new', overwrite=True)\n"
        "except InputError as error:\n    print('refused:', error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "refused: cannot write 'out': " in done.stdout
    assert contents(tmp_path) == before


def test_targets(tiny: Any, tmp_path: Path, tokenizer: Any) -> None:
    model = tiny("bert").model
    place = tmp_path / "deep" / "out"
    save(model, tokenizer, place, card="old")
    assert (place / "README.md").read_text() == "old"
    assert (place / "tokenizer.json").stat().st_mode == (place / "model.safetensors").stat().st_mode
    with pytest.raises(InputError, match="holds another export; use --overwrite"):
        save(model, None, place)
    save(model, None, place, card="new", overwrite=True)
    assert (place / "README.md").read_text() == "new"
    assert not (place / "tokenizer.json").exists()
    (place / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'notes\.txt', which no export wrote; choose another folder"):
        save(model, None, place, overwrite=True)
    assert (place / "notes.txt").exists()
    model.save_pretrained(tmp_path / "stock")
    with pytest.raises(InputError, match=r"holds 'config\.json', which no export wrote"):
        save(model, None, tmp_path / "stock", overwrite=True)
    with pytest.raises(InputError, match="is a file; it must be a folder"):
        save(model, None, place / "notes.txt")
    with pytest.raises(InputError, match="is no folder that you may write to"):
        save(model, None, place / "notes.txt" / "below")
    (tmp_path / "empty").mkdir()
    save(model, None, tmp_path / "empty")
