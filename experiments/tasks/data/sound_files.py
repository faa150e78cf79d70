"""Recordings: WAV files of any rate, in one channel at the rate that a network was trained on."""

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly

from walras.errors import InputError
from walras.files.contents import brief, read_bytes

LARGEST = 2**30
"""Bytes of a recording."""
RATES = (4_000, 768_000)
"""Samples a second that a recording may have."""
_STREAMED = b"\xff\xff\xff\xff"
"""The length in the header of a file whose writer could not know it, as where it goes to a pipe."""
_OTHERS = (".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".wma", ".aiff", ".aif")
_WHAT = "recording"
Samples = NDArray[np.float32]


@final
class Recording(NamedTuple):
    """Sound in one channel, from -1 to 1."""

    samples: Samples  # [n]
    rate: int  # samples a second

    def at(self, rate: int) -> Samples:
        """The same at another rate, by a polyphase filter that lets no frequency through that it cannot hold."""
        if rate == self.rate:
            return self.samples
        shared = math.gcd(rate, self.rate)
        found: Samples = resample_poly(self.samples, rate // shared, self.rate // shared).astype(np.float32)
        return found


@final
@dataclass(frozen=True)
class Piece:
    """A part of a recording, from a second to another."""

    file: str
    start: float
    stop: float

    @property
    def name(self) -> str:
        """The file, and where the piece begins unless that is its beginning."""
        return self.file if self.start == 0 else f"{self.file}[{self.start:g} s]"

    def read(self) -> Recording:
        """Its sound."""
        whole = _kept(self.file, Path(self.file).stat().st_mtime_ns)
        first, last = (round(second * whole.rate) for second in (self.start, self.stop))
        return Recording(whole.samples[first:last], whole.rate)


def read_pieces(folder: str, seconds: float) -> tuple[list[Piece], list[int]]:
    """Every recording below a folder, in pieces of at most so many seconds, and the rates that recordings have.

    Raises:
        InputError: no folder, no WAV file in it, one that does not open.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"{folder!r} is no folder; task audio needs one with WAV files")
    hidden = (file for file in sorted(place.rglob("*")) if file.is_file())
    files = [f for f in hidden if not any(part.startswith(".") for part in f.relative_to(place).parts)]
    sounds = [file for file in files if file.suffix.lower() == ".wav"]
    if not sounds:
        others = sorted({file.suffix.lower() for file in files} & {*_OTHERS})
        hint = f", only {', '.join(others)}; convert them first: ffmpeg -i x{others[0]} x.wav" if others else ""
        raise InputError(f"{folder!r} has no WAV files (.wav){hint}")
    found, rates = [], set()
    for file in sounds:
        recording = read_recording(file)
        rates.add(recording.rate)
        length = len(recording.samples) / recording.rate
        found += [
            Piece(str(file), i * seconds, min((i + 1) * seconds, length))
            for i in range(max(1, math.ceil(round(length / seconds, 9))))
        ]
    return found, sorted(rates)


@lru_cache(maxsize=1)
def _kept(file: str, changed: int) -> Recording:
    """A long recording is read once, and not for every piece of it."""
    del changed
    return read_recording(file)


def read_recording(path: str | Path) -> Recording:
    """A WAV file; several channels become one, their mean.

    Raises:
        InputError: a file that is none, is damaged or cut short, is empty, or has an impossible rate.
    """
    content = read_bytes(path, _WHAT, LARGEST)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of parts that hold no sound
            if content[4:8] != _STREAMED:
                warnings.filterwarnings("error", "Reached EOF prematurely", wavfile.WavFileWarning)
            rate, data = wavfile.read(io.BytesIO(content))
    except Exception as error:  # scipy raises whatever the bytes lead it to
        raise InputError(f"cannot read recording {str(path)!r}: {brief(error)}; valid: WAV files") from error
    low, high = RATES
    if not low <= rate <= high:
        raise InputError(f"recording {str(path)!r} has a rate of {rate:,} Hz; valid: {low:,} to {high:,}")
    if data.size == 0:
        raise InputError(f"recording {str(path)!r} holds no sound")
    samples = _scaled(data)
    samples = samples if samples.ndim == 1 else samples.mean(1)
    if not np.isfinite(samples).all():
        raise InputError(f"recording {str(path)!r} has samples that are not finite numbers")
    return Recording(samples, int(rate))


def _scaled(data: NDArray[Any]) -> Samples:
    """Samples of any type from -1 to 1."""
    wide = data.astype(np.float64)
    if data.dtype == np.uint8:  # the one type that has its zero in the middle
        wide = (wide - 128) / 128
    elif data.dtype.kind != "f":
        wide = wide / (float(np.iinfo(data.dtype).max) + 1)
    return wide.astype(np.float32)


def check_sounds(sounds: Sequence[object]) -> None:
    """Refuse what is no sound in one channel, given from Python.

    Raises:
        InputError: naming the first.
    """
    for i, sound in enumerate(sounds):
        if not isinstance(sound, np.ndarray) or sound.ndim != 1 or sound.size == 0 or sound.dtype.kind != "f":
            told = f"{sound.dtype} of shape {[*sound.shape]}" if isinstance(sound, np.ndarray) else type(sound).__name__
            raise InputError(f"data[{i}] is {told}; it must be an array [samples] of numbers from -1 to 1")
        if not np.isfinite(sound).all():
            raise InputError(f"data[{i}] has samples that are not finite numbers")
