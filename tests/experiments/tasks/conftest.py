"""Tiny networks of pictures and of speech in folders, and folders with pictures and recordings for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile
from tiny_senses import write_speech, write_vision

RATE = 16_000


@pytest.fixture(autouse=True)
def modules(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of exports is copied to a folder of the test's own."""
    place = str(tmp_path_factory.mktemp("modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", place)
    monkeypatch.syspath_prepend(place)


@pytest.fixture(scope="session")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of pictures."""
    return write_vision(tmp_path_factory.mktemp("vision"))


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of speech."""
    return write_speech(tmp_path_factory.mktemp("speech"))


def picture(kind: int, seed: int, side: int = 20) -> Any:
    """A dark (0) or bright (1) picture with noise."""
    noise = np.random.default_rng(seed).integers(0, 90, (side, side + 3, 3))
    return Image.fromarray((noise + 150 * kind).astype(np.uint8))


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder with two classes of pictures: `pictures(number, *above)`, `above` being folders above them."""

    def made(number: int = 6, *above: str, classes: tuple[str, ...] = ("dark", "light")) -> Path:
        place = tmp_path / "pictures"
        for seed, top in enumerate(above or ("",)):
            for kind, name in enumerate(classes):
                folder = place / top / name
                folder.mkdir(parents=True, exist_ok=True)
                for i in range(number):
                    picture(kind, 100 * seed + 10 * i + kind, 20 + i).save(folder / f"p{i}.png")
        return place

    return made


def sound(seconds: float, rate: int = RATE, seed: int = 0) -> Any:
    """A tone of its own pitch with noise."""
    random, time = np.random.default_rng(seed), np.arange(round(seconds * rate)) / rate
    tone = 0.5 * np.sin(2 * np.pi * (200 + 50 * seed) * time) + 0.05 * random.standard_normal(len(time))
    return tone.astype(np.float32)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Six recordings of half a second to two and a half, the odd ones at 8 kHz, in two folders."""
    place = tmp_path / "recordings"
    (place / "deep").mkdir(parents=True)
    for i, seconds in enumerate((0.5, 0.7, 1.0, 2.5, 0.6, 0.8)):
        rate = RATE // (1 + i % 2)
        data = (sound(seconds, rate, i) * 32767).astype(np.int16)
        wavfile.write(place / ("deep" if i > 3 else "") / f"r{i}.wav", rate, data)
    (place / "notes.txt").write_text("not a sound", encoding="utf-8")
    return place
