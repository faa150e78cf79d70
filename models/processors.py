"""What turns pictures and sound into inputs of a network: the processor in its folder, or documented defaults."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor

from walras.errors import InputError
from walras.models.pretrained import read_processor

SETTINGS = ("preprocessor_config.json", "processor_config.json")
"""Files of which a folder with settings for pictures or sound has one."""
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.json")
"""Files of which a folder with a tokenizer has one."""
SIDE = 224
"""Height and width of pictures where neither a processor nor the user says otherwise."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue
_MOST = {"size": 2**13, "crop_size": 2**13, "n_samples": 2**24, "sampling_rate": 2**20, "feature_size": 2**12}
"""What a stranger's file may ask for at most; far more than any model takes."""


def image_processor(source: str, what: str, has_settings: bool, **options: Any) -> Any:
    """The image processor of a checkpoint; None where it has none, and `pixel_values` takes its defaults.

    Raises:
        InputError: settings that make up none, or ask for pictures that fill the memory.
    """
    if not has_settings:
        return None
    found = read_processor(transformers.AutoImageProcessor, source, f"the image processor of {what}", **options)
    _check(found, what)
    return found


def speech_processor(source: str, what: str, has_settings: bool, has_tokenizer: bool, **options: Any) -> Any:
    """Feature extractor and tokenizer of a checkpoint, as one object of transformers; without a tokenizer the former.

    Raises:
        InputError: no feature extractor there, or files that make up none.
    """
    if not has_settings:
        raise InputError(f"{what} comes without {SETTINGS[0]}; save its processor in the same folder")
    kind = transformers.AutoProcessor if has_tokenizer else transformers.AutoFeatureExtractor
    found = read_processor(kind, source, f"the processor of {what}", **options)
    _check(extractor(found), what)
    return found


def extractor(processor: Any) -> Any:
    """The feature extractor of a processor, or the processor itself where it is one."""
    return getattr(processor, "feature_extractor", processor)


def pixel_values(processor: Any, pictures: Sequence[Any], side: int | None) -> Tensor:
    """Pictures [n, channels, height, width] as a network takes them.

    Without a processor: in three colours, the shorter side resized to `side` (bicubic), the middle cut out, and each
    colour less its mean over ImageNet, divided by its deviation there.

    Args:
        processor: of transformers, or None.
        pictures: of Pillow, of any size and mode.
        side: height and width; None: as the processor says, or `SIDE`.
    """
    coloured = [_coloured(picture) for picture in pictures]
    if processor is None:
        return torch.stack([_prepared(picture, side or SIDE) for picture in coloured])
    found: Tensor = processor(images=coloured, return_tensors="pt", **_sizes(processor, side))["pixel_values"]
    return found


def input_features(processor: Any, sounds: Sequence[NDArray[np.float32]]) -> dict[str, Tensor]:
    """Sounds at the processor's rate as a network takes them, with a mask [n, frames] of what is no silence behind."""
    made = extractor(processor)(
        list(sounds), sampling_rate=extractor(processor).sampling_rate, return_tensors="pt", return_attention_mask=True
    )
    return {name: made[name] for name in ("input_features", "attention_mask")}


def _coloured(picture: Any) -> Any:
    """A picture in three colours of 8 bits; of 16 bits the higher 8, where Pillow makes white of all above 255."""
    from PIL import Image

    if picture.mode == "I" or picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture).clip(0, 2**16 - 1) // 2**8).astype(np.uint8))
    return picture.convert("RGB")


def _prepared(picture: Any, side: int) -> Tensor:
    """One picture [3, side, side] by the defaults."""
    from PIL import Image

    scale = side / min(picture.size)
    width, height = (max(side, round(scale * length)) for length in picture.size)
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    pixels = torch.tensor(np.asarray(resized.crop((left, top, left + side, top + side)))).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (_MEAN, _STD))
    return (pixels - mean) / std


def _sizes(processor: Any, side: int | None) -> dict[str, Any]:
    """What a processor is told of the size, in the words of its own settings: cut out of the middle where it cuts."""
    if side is None:
        return {}
    square = {"height": side, "width": side}
    if getattr(processor, "do_center_crop", False):
        return {"size": {"shortest_edge": side}, "crop_size": square}
    return {"size": square}


def _check(processor: Any, what: str) -> None:
    """Refuse settings that ask for more than any memory holds."""
    for name, most in _MOST.items():
        for number in _numbers(getattr(processor, name, None)):
            if not 0 < number <= most:
                raise InputError(f"{what}: {name} is {number} in its {SETTINGS[0]}; it must be from 1 to {most:,}")


def _numbers(value: Any) -> Iterator[float]:
    inside = value if isinstance(value, Mapping) else getattr(value, "__dict__", {})  # transformers has both
    if inside:
        for inner in inside.values():
            yield from _numbers(inner)
    elif isinstance(value, (int, float)):
        yield value
