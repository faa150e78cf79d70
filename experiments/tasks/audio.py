"""Recordings of the user's own: does a smaller encoder of speech say what the dense one says?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.experiments.tasks.base import Reference, Task, on_device
from walras.experiments.tasks.data.rows import Example
from walras.experiments.tasks.data.sound_files import Piece, Recording, Samples, check_sounds, read_pieces
from walras.experiments.tasks.data.splits import check_share, drawn
from walras.experiments.tasks.losses import States
from walras.models.loading import Head
from walras.models.objective import Batch, Objective
from walras.models.pooling import states, tokens_inside
from walras.models.processors import extractor, input_features

LEAST = 4
"""Pieces of sound: two to calibrate on, two to measure with."""
METRIC = "cosine with dense"
_SECONDS = (0.1, 600.0)


@final
@dataclass(frozen=True, eq=False)
class Audio(Task):
    """Pieces of sound, of which some, chosen at random, value the units of an encoder, and the others measure it.

    The metric is the mean cosine of the encoder's states to those of the dense one, over the states of a piece's own
    sound, without the silence that fills it up, and over pieces. The decoder is never changed.
    """

    name: str
    calibrating: Sequence[Example]
    held_out: Sequence[Example]
    sounds: Mapping[str, Piece | Samples] = field(repr=False)  # by name; those in memory are at the processor's rate
    rates: Sequence[int] = ()  # that the recordings have
    metric: str = METRIC
    head: ClassVar[Head] = "speech"

    def pool(self) -> Sequence[Example]:
        """The pieces that are not held out, by name."""
        return self.calibrating

    @property
    def most(self) -> int:
        """All of them."""
        return len(self.calibrating)

    @property
    def measured_rows(self) -> int:
        """Those that are held out."""
        return len(self.held_out)

    def first(self, rows: int) -> "Audio":
        """As the interface says."""
        return replace(self, held_out=self.held_out[:rows])

    def tokens_inside(self, model: nn.Module, tokenizer: Any, length: int) -> int:
        """States of a piece, silence that fills it up included: it is computed with."""
        del length
        batch = self.batch(tokenizer, self.held_out[:1], 0)
        return tokens_inside(model, on_device(batch, model))

    def protocol(self, tokenizer: Any, length: int) -> dict[str, Any]:
        """Everything on which the figure depends."""
        del length
        rate = extractor(tokenizer).sampling_rate
        others = [f"{found} Hz" for found in self.rates if found != rate]
        return {
            "pieces": len(self.held_out), "rate": f"{rate} Hz", "to calibrate on": len(self.calibrating),
            **({"resampled from": ", ".join(others)} if others else {}),
        }  # fmt: skip

    def objective(self, model: nn.Module, label_free: bool) -> Objective:
        """The encoder's states; there are no labels."""
        del model, label_free
        return States()

    def batch(self, tokenizer: Any, examples: Sequence[Example], length: int) -> Batch:
        """One row a piece, with a mask [rows, states] of its own sound, and the decoder's first token."""
        del length
        if tokenizer is None:
            raise InputError("task audio needs the processor of the network, by which sound becomes its input")
        sounds = [self._heard(example.first, tokenizer) for example in examples]
        for example, sound in zip(examples, sounds, strict=True):
            _check_length(example.first, len(sound), extractor(tokenizer))
        made = input_features(tokenizer, sounds)
        first = torch.full((len(examples), 1), _first_token(tokenizer))
        # Encoders of speech put two frames into a state; the mask is by states, for valuations and repairs.
        return {**made, "attention_mask": made["attention_mask"][:, ::2].contiguous(), "decoder_input_ids": first}

    def reference(self, model: nn.Module, tokenizer: Any, *, batch_size: int, length: int) -> Reference:
        """The dense model's states [real states of all pieces, d]."""
        return torch.cat([real for _, real in self._states(model, tokenizer, batch_size)])

    def evaluate(
        self, model: nn.Module, tokenizer: Any, reference: Reference, *, batch_size: int, length: int
    ) -> float:
        """Mean over pieces of the mean cosine over their states."""
        if reference is None:
            raise InputError("task audio is evaluated against the dense model: call `reference` on it first")
        found, start = [], 0
        for counts, real in self._states(model, tokenizer, batch_size):
            cosines = (real * reference[start : start + len(real)]).sum(-1)
            ends = np.cumsum(counts)
            found += [float(cosines[end - count : end].mean()) for end, count in zip(ends, counts, strict=True)]
            start += len(real)
        return sum(found) / len(found)

    @torch.no_grad()
    def _states(self, model: nn.Module, tokenizer: Any, batch_size: int) -> Iterator[tuple[list[int], Tensor]]:
        """Batch by batch, how many real states each piece has, and those states [states, d], scaled to length 1."""
        for i in range(0, len(self.held_out), batch_size):
            batch = on_device(self.batch(tokenizer, self.held_out[i : i + batch_size], 0), model)
            mask = batch["attention_mask"].bool()
            hidden = nn.functional.normalize(states(model, batch).float(), dim=-1)[mask].cpu()
            if not bool(hidden.isfinite().all()):
                raise InputError("the model's states are not finite numbers")
            yield mask.sum(1).tolist(), hidden

    def _heard(self, name: str, processor: Any) -> Samples:
        """A piece at the processor's rate."""
        found = self.sounds[name]
        if not isinstance(found, Piece):
            return found
        recording: Recording = found.read()
        return recording.at(int(extractor(processor).sampling_rate))


def _check_length(name: str, samples: int, made: Any) -> None:
    """Refuse sound of which the network would not hear the end."""
    if samples > made.n_samples:
        most = made.n_samples / made.sampling_rate
        raise InputError(
            f"{name} lasts {samples / made.sampling_rate:.1f} s; the network hears {most:g} s at most: seconds={most:g}"
        )


def _first_token(processor: Any) -> int:
    """The token that a decoder begins with."""
    tokenizer = getattr(processor, "tokenizer", None)
    known = None if tokenizer is None else tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
    return int(known or 0)


def audio(
    data: str | None = None,
    folder: str | None = None,
    seconds: float = 30.0,
    share: float = 0.5,
    seed: int = 0,
    least: float = 0.0,
    pieces: int | None = None,
) -> Audio:
    """Any folder of WAV files: label-free, an encoder's states against those of the dense one.

    Args:
        data: the folder; recordings lie there at any depth, have any rate and any number of channels.
        folder: the same, said as a parameter.
        seconds: longer recordings are cut into pieces of so many seconds, which the network hears apart.
        share: of pieces that measure.
        seed: of the draw.
        least: leave out pieces that are shorter, in seconds.
        pieces: measure with the first so many only.

    Raises:
        InputError: no recordings, ones that do not open, too few.
    """
    if data is not None and folder is not None:
        raise InputError(f"task audio is given two folders: {data!r} and {folder!r}")
    place = data or folder
    if place is None:
        raise InputError("task audio needs a folder of WAV files: --data FOLDER, or audio:folder=FOLDER")
    low, high = _SECONDS
    if not low <= seconds <= high:
        raise InputError(f"seconds is {seconds:g}; it must be from {low:g} to {high:g}")
    check_share(share)
    if pieces is not None and pieces < 1:
        raise InputError(f"pieces is {pieces}; it must be a whole number of at least 1")
    found, rates = read_pieces(place, seconds)
    kept = [piece for piece in found if piece.stop - piece.start >= least]
    where = f"{place!r}" if len(kept) == len(found) else f"{place!r} (without {len(found) - len(kept)} shorter ones)"
    task = _parted({piece.name: piece for piece in kept}, where, share, seed, rates)
    return task if pieces is None else task.first(pieces)


def from_sounds(given: Sequence[Any]) -> Audio:
    """A task of sounds that are at hand, arrays [samples] from -1 to 1 at the rate of the network's processor.

    Raises:
        InputError: something else among them, or too few.
    """
    check_sounds(given)
    return _parted({f"data[{i}]": sound for i, sound in enumerate(given)}, "data", 0.5, 0, ())


def _parted(sounds: Mapping[str, Any], where: str, share: float, seed: int, rates: Sequence[int]) -> Audio:
    """Sounds parted into those that calibrate and those that measure."""
    if len(sounds) < LEAST:
        raise InputError(
            f"{where} has {len(sounds)} pieces of sound; at least {LEAST} are needed: two to calibrate on, two to "
            "measure with"
        )
    examples = [Example(name) for name in sounds]
    stays = drawn([""] * len(examples), share, seed)
    calibrating, held_out = (
        [example for example, own in zip(examples, stays, strict=True) if bool(own) is side] for side in (True, False)
    )
    return Audio("audio", calibrating, held_out, sounds, rates)
