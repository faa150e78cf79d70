"""Loops are compiled where numba can keep nothing, where what it kept is damaged, and where the disk is full."""

import errno
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from walras.models.export import token_kernels
from walras.models.export.token_kernels import MachineCode, compiled

numba: Any = pytest.importorskip("numba")
caching: Any = importlib.import_module("numba.core.caching")


def twice(x: Any) -> Any:
    return x + x


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where numba keeps what it compiles."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(MachineCode, "_said", False)
    return tmp_path


def kept(folder: Path) -> list[Path]:
    return sorted(place for place in folder.rglob("*.nb*"))


def test_what_is_compiled_is_kept_and_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert compiled(twice)(3) == 6
    assert len(kept(folder)) == 2
    (line,) = [record.message for record in caplog.records]
    assert line.startswith("Compiling loops")
    assert str(folder) in line
    again = compiled(twice)
    assert again(4) == 8
    assert sum(again.stats.cache_hits.values()) == 1
    assert compiled(twice)(1.5) == 3.0  # another specialisation
    assert len(caplog.records) == 1


def test_no_folder_to_keep_it_in(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """As under a user without a home, in an installation that he may not write to."""

    def refused(self: Any) -> None:
        raise PermissionError(errno.EACCES, "refused")

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", refused)
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(twice)
    assert compiled(twice)(3) == 6
    assert "in every process" in caplog.text
    spec = importlib.util.spec_from_file_location("again", str(token_kernels.__file__))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # every loop is decorated without an error
    assert module.numba is not None


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"\x80\x05garbage"])
def test_what_is_damaged_is_compiled_anew(ending: str, content: bytes, folder: Path) -> None:
    assert compiled(twice)(3) == 6
    for place in folder.rglob(f"*.{ending}"):
        place.write_bytes(content)
    assert compiled(twice)(4) == 8


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    assert compiled(twice)(3) == 6
    assert kept(folder) == []
