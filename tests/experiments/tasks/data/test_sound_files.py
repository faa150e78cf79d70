"""Recordings of every type of sample and any rate, in pieces; and files that are none."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import wavfile

from walras.errors import InputError
from walras.experiments.tasks.data.sound_files import Recording, check_sounds, read_pieces, read_recording

TONE = np.array([0.0, 0.5, -0.5, 0.25], dtype=np.float32)


@pytest.mark.parametrize(
    "data",
    [TONE, TONE.astype(np.float64), (TONE * 2**15).astype(np.int16), (TONE * 2**31).astype(np.int32),
     (TONE * 128 + 128).astype(np.uint8)],
    ids=lambda data: str(data.dtype),
)  # fmt: skip
def test_samples_are_from_minus_one_to_one(data: Any, tmp_path: Path) -> None:
    wavfile.write(tmp_path / "x.wav", 8000, data)
    found = read_recording(tmp_path / "x.wav")
    assert found.rate == 8000
    assert found.samples.dtype == np.float32
    np.testing.assert_allclose(found.samples, TONE, atol=1e-6)


def test_channels_become_one(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "x.wav", 8000, np.stack([TONE, np.zeros_like(TONE)], 1))
    np.testing.assert_allclose(read_recording(tmp_path / "x.wav").samples, TONE / 2)


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
def test_another_rate_is_the_same_sound(rate: int) -> None:
    """A tone of 440 Hz stays one, of the same loudness; one that the new rate cannot hold is gone."""

    def tone(pitch: float, rate: int) -> Any:
        return np.sin(2 * np.pi * pitch * np.arange(rate) / rate).astype(np.float32)

    found = Recording(tone(440, rate), rate).at(16_000)
    assert found.dtype == np.float32
    assert len(found) == 16_000
    np.testing.assert_allclose(found[500:-500], tone(440, 16_000)[500:-500], atol=0.01)
    assert Recording(tone(440, 16_000), 16_000).at(16_000) is not None
    if rate == 48_000:
        assert float(np.abs(Recording(tone(15_000, rate), rate).at(16_000)[500:-500]).max()) < 0.02


def test_long_recordings_come_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    wavfile.write(tmp_path / "a.wav", 1_000 * 10, np.arange(25_000, dtype=np.int16))
    wavfile.write(tmp_path / "deep" / "b.WAV", 8_000, np.arange(8_000, dtype=np.int16))
    pieces, rates = read_pieces(str(tmp_path), 1.0)
    assert rates == [8_000, 10_000]
    assert [piece.name.removeprefix(f"{tmp_path}/") for piece in pieces] == [
        "a.wav", "a.wav[1 s]", "a.wav[2 s]", "deep/b.WAV"
    ]  # fmt: skip
    heard = np.concatenate([piece.read().samples for piece in pieces[:3]])
    assert [len(piece.read().samples) for piece in pieces] == [10_000, 10_000, 5_000, 8_000]
    assert np.array_equal(heard, read_recording(tmp_path / "a.wav").samples)


@pytest.mark.parametrize("content", [b"", b"hello", b"RIFF\0\0\0\0WAVE", b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0"])
def test_a_recording_that_does_not_open_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read recording '.*x\.wav': .*; valid: WAV files"):
        read_pieces(str(tmp_path), 30.0)


def test_a_recording_that_is_cut_short(tmp_path: Path) -> None:
    """Half of a copy is no shorter recording; a file whose writer did not know its length ends where it ends."""
    file = tmp_path / "a.wav"
    wavfile.write(file, 16_000, np.ones(1000, dtype=np.int16))
    content = file.read_bytes()
    file.write_bytes(content[:1044])
    with pytest.raises(InputError, match=r"cannot read recording '.*a\.wav': Reached EOF prematurely"):
        read_recording(file)
    file.write_bytes(content[:4] + b"\xff" * 4 + content[8:40] + b"\xff" * 4 + content[44:1044])
    assert len(read_recording(file).samples) == 500


def test_faulty_recordings(tmp_path: Path) -> None:
    file = tmp_path / "x.wav"
    for rate, data, message in (
        (100, TONE, "has a rate of 100 Hz; valid: 4,000 to 768,000"),
        (8000, TONE[:0], "holds no sound"),
        (8000, np.array([0, np.nan], dtype=np.float32), "not finite"),
    ):
        wavfile.write(file, rate, data)
        with pytest.raises(InputError, match=message):
            read_recording(file)
    whole = io.BytesIO()
    wavfile.write(whole, 8000, TONE)
    file.write_bytes(whole.getvalue()[:30])
    with pytest.raises(InputError, match="cannot read recording"):
        read_recording(file)


def test_faulty_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder; task audio needs one with WAV files"):
        read_pieces(str(tmp_path / "none"), 30.0)
    with pytest.raises(InputError, match=r"has no WAV files \(\.wav\)$"):
        read_pieces(str(tmp_path), 30.0)
    (tmp_path / "a.mp3").write_bytes(b"x")
    (tmp_path / "b.FLAC").write_bytes(b"x")
    with pytest.raises(InputError, match=r"only \.flac, \.mp3; convert them first: ffmpeg -i x\.flac x\.wav"):
        read_pieces(str(tmp_path), 30.0)


@pytest.mark.parametrize(
    ("bad", "told"),
    [([1.0], "list"), (np.zeros((2, 3)), r"float64 of shape \[2, 3\]"), (np.zeros(4, dtype=np.int16), "int16"),
     (np.array([np.inf]), "not finite"), (np.zeros(0), r"shape \[0\]")],
)  # fmt: skip
def test_sounds_from_python(bad: Any, told: str) -> None:
    with pytest.raises(InputError, match=rf"data\[1\].*{told}"):
        check_sounds([TONE, bad])
    check_sounds([TONE, TONE.astype(np.float64)])
