"""A long text as one stream of tokens."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walras.errors import InputError
from walras.experiments.subjects.checks import check_given

PIECE = 2**21  # characters that are tokenised at once; as one piece, 10 MB of text would take 2 GB


@final
@dataclass(frozen=True, eq=False)
class Stream:
    """Tokens [T] of a text, and where each ends in it [T], in characters."""

    text: str
    ids: Tensor
    ends: NDArray[np.int64]

    def span(self, start: int, stop: int) -> str:
        """The text of tokens `start` to `stop`; spans side by side leave out nothing."""
        first = int(self.ends[start - 1]) if start else 0
        return self.text[first : int(self.ends[stop - 1]) if stop < len(self.ids) else None]


@lru_cache(maxsize=4)  # text to train on and to evaluate on, of a tokenizer
def stream(tokenizer: Any, text: str) -> Stream:
    """The tokens of a text, no special ones among them.

    Raises:
        InputError: no tokenizer, or one that does not tell where its tokens end.
    """
    check_given(tokenizer)
    if not tokenizer.is_fast:
        raise InputError(
            f"{type(tokenizer).__name__} does not tell where its tokens end in the text; use its fast form"
        )
    ids, ends, begun = [], [], 0
    for piece in pieces(text, PIECE):
        found = tokenizer(piece, add_special_tokens=False, verbose=False)
        ids.append(np.array(found.input_ids, dtype=np.int64))
        ends.append(np.array(found.encodings[0].offsets, dtype=np.int64).reshape(-1, 2)[:, 1] + begun)
        begun += len(piece)
    return Stream(text, torch.from_numpy(np.concatenate(ids)), np.concatenate(ends))


def pieces(text: str, size: int) -> Iterator[str]:
    """The text in pieces of about `size` characters, cut at ends of lines, before the white space.

    A tokenizer that first splits text where white space begins, as GPT-2's and those that descend from it do, gives
    the same tokens as for the whole.
    """
    start, stop = 0, text.find("\n", size)
    while stop >= 0:
        own = text[start:stop].rstrip()
        if own:
            yield own
            start += len(own)
        stop = text.find("\n", max(start + size, stop + 1))
    yield text[start:]
