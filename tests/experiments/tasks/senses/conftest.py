"""Tiny networks of pictures and of speech in folders, and folders with pictures and recordings for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile
from transformers import (
    Dinov2Config,
    Dinov2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

SIDE, PATCH = 16, 4
TOKENS = (SIDE // PATCH) ** 2 + 1
RATE = 16_000
STATES = 50  # of a second of sound


@pytest.fixture(autouse=True)
def modules(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of exports is copied to a folder of the test's own."""
    place = str(tmp_path_factory.mktemp("modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", place)
    monkeypatch.syspath_prepend(place)


def _shaken(model: Any) -> Any:
    """The model with noise on all of its weights, so that no bias is zero and no two units are alike."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape))
    return model.eval()


@pytest.fixture(scope="session")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DINOv2 of two layers, without an image processor."""
    folder = tmp_path_factory.mktemp("vision")
    sizes: Any = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "mlp_ratio": 2}
    config = Dinov2Config(image_size=32, patch_size=PATCH, layerscale_value=0.5, **sizes)
    _shaken(Dinov2Model(config)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper of two layers that hears a second, with its processor."""
    folder = tmp_path_factory.mktemp("speech")
    letters = {c: i for i, c in enumerate(["<|endoftext|>", "<|startoftranscript|>", *"abcdefghijklmnopqrstuvwxyz"])}
    hears: Any = WhisperFeatureExtractor
    both: Any = WhisperProcessor
    words = WhisperTokenizer(vocab=letters, merges=[])
    both(hears(feature_size=5, chunk_length=1), words).save_pretrained(folder)
    config = WhisperConfig(
        vocab_size=len(letters), d_model=24, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=40,
        decoder_layers=1, decoder_attention_heads=3, decoder_ffn_dim=16, num_mel_bins=5, max_source_positions=STATES,
        max_target_positions=8, decoder_start_token_id=1, begin_suppress_tokens=None, pad_token_id=0, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    _shaken(WhisperForConditionalGeneration(config)).save_pretrained(folder)
    return folder


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
