"""Pictures of the user's own: nearest neighbours by classes, or without classes agreement with the dense model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from walras.errors import InputError, UnknownNameError
from walras.experiments.tasks.base import Reference, Task, on_device
from walras.experiments.tasks.data.picture_files import Pictures, Wanted, read_pictures
from walras.experiments.tasks.data.rows import Example
from walras.experiments.tasks.losses import PictureEmbeddings
from walras.models.loading import Head
from walras.models.objective import Batch, Objective
from walras.models.pooling import embedded, tokens_inside
from walras.models.processors import SIDE, pixel_values

EMBEDDINGS = ("first", "mean")
LARGEST = 2**12
"""Height and width of a picture in a network."""
NEIGHBOURS, COSINE = "nearest neighbours", "cosine with dense"
_ROWS = 1000  # test pictures whose neighbours are looked for at once


@final
@dataclass(frozen=True)
class Images(Task):
    """Pictures, calibrated on the training split and measured on the test split.

    With classes the metric is the share of test pictures whose class is that of most of their k nearest neighbours
    among the training pictures, by the cosine of embeddings; of classes with as many, the one with the higher sum of
    cosines. Without, it is the mean cosine of embeddings to the dense model's. Classes judge, and nothing is calibrated
    on them: what is to be kept is where each picture lies among the others.
    """

    name: str
    pictures: Pictures
    metric: str
    size: int | None = None  # height and width; None: as the image processor says
    embedding: str = "first"
    k: int = 5
    head: ClassVar[Head] = "images"

    def pool(self) -> Sequence[Example]:
        """The training pictures, by name."""
        return self.pictures.train

    @property
    def most(self) -> int:
        """All of them."""
        return len(self.pictures.train)

    @property
    def measured_rows(self) -> int:
        """The test pictures."""
        return len(self.pictures.test)

    def first(self, rows: int) -> "Images":
        """As the interface says."""
        return replace(self, pictures=replace(self.pictures, test=self.pictures.test[:rows]))

    def tokens_inside(self, model: nn.Module, tokenizer: Any, length: int) -> int:
        """Patches of a picture, and what the network puts before them."""
        del length
        batch = self.batch(tokenizer, self.pictures.test[:1], 0)
        return tokens_inside(model, on_device(batch, model))

    def protocol(self, tokenizer: Any, length: int) -> dict[str, Any]:
        """Everything on which the figure depends."""
        del length
        said = "as its image processor says" if tokenizer is not None else f"{SIDE} x {SIDE}"
        neighbours = {"k": self.k, "neighbours among": len(self.pictures.train)} if self.metric == NEIGHBOURS else {}
        return {
            "pictures": len(self.pictures.test), "size": f"{self.size} x {self.size}" if self.size else said,
            "embedding": self.embedding, "to calibrate on": len(self.pictures.train), **neighbours,
        }  # fmt: skip

    def objective(self, model: nn.Module, label_free: bool) -> Objective:
        """Where each picture lies among the others, by its cosines to them."""
        del model, label_free
        return PictureEmbeddings(self.embedding)

    def batch(self, tokenizer: Any, examples: Sequence[Example], length: int) -> Batch:
        """One row a picture."""
        del length
        opened = [self.pictures.opened(example.first) for example in examples]
        return {"pixel_values": pixel_values(tokenizer, opened, self.size)}

    def reference(self, model: nn.Module, tokenizer: Any, *, batch_size: int, length: int) -> Reference:
        """The dense model's embeddings [test pictures, d], where it is compared with."""
        if self.metric == NEIGHBOURS:
            return None
        return self._embedded(model, tokenizer, self.pictures.test, batch_size)

    def evaluate(
        self, model: nn.Module, tokenizer: Any, reference: Reference, *, batch_size: int, length: int
    ) -> float:
        """The share of test pictures that get their class, or the mean cosine.

        Raises:
            InputError: embeddings that are not finite numbers.
        """
        test = self._embedded(model, tokenizer, self.pictures.test, batch_size)
        if self.metric == COSINE:
            if reference is None:
                raise InputError("pictures without classes are evaluated against the dense model: call `reference`")
            return float((test * reference).sum(-1).mean())
        train = self._embedded(model, tokenizer, self.pictures.train, batch_size)
        classes, wanted = (
            torch.tensor([int(example.label or 0) for example in split])
            for split in (self.pictures.train, self.pictures.test)
        )
        found = [neighbours(test[i : i + _ROWS], train, classes, self.k) for i in range(0, len(test), _ROWS)]
        return float((torch.cat(found) == wanted).double().mean())

    @torch.no_grad()
    def _embedded(self, model: nn.Module, tokenizer: Any, examples: Sequence[Example], batch_size: int) -> Tensor:
        """Embeddings [pictures, d] of length 1, on the CPU."""
        parts = (examples[i : i + batch_size] for i in range(0, len(examples), batch_size))
        batches = (on_device(self.batch(tokenizer, part, 0), model) for part in parts)
        found = torch.cat([embedded(model, batch, self.embedding).float().cpu() for batch in batches])
        if not bool(found.isfinite().all()):
            raise InputError("the model's embeddings are not finite numbers")
        return found


def neighbours(rows: Tensor, among: Tensor, classes: Tensor, k: int) -> Tensor:
    """The class [n] of most of the k nearest neighbours of each row.

    Args:
        rows: [n, d], of length 1.
        among: [m, d], of length 1.
        classes: LongTensor [m], those of `among`.
        k: how many neighbours vote; of classes with as many votes, the higher sum of cosines wins.
    """
    cosines, places = (rows @ among.T).topk(k, dim=1)
    votes = torch.zeros(len(rows), int(classes.max()) + 1)
    votes.scatter_add_(1, classes[places], 1 + cosines / (4 * k))  # a sum of k cosines is less than half a vote
    return votes.argmax(1)


def images(
    data: str | None = None,
    folder: str | None = None,
    size: int | None = None,
    train: int | None = None,
    test: int | None = None,
    share: float = 0.2,
    seed: int = 0,
    k: int = 5,
    embedding: str = "first",
) -> Images:
    """Any folder of pictures or IDX files: nearest neighbours by classes, or without classes agreement with dense.

    Args:
        data: the folder.
        folder: the same, said as a parameter.
        size: height and width in the network; by default as its image processor says, or 224.
        train: the first so many pictures to calibrate on, among which neighbours are looked for.
        test: the first so many pictures to measure with.
        share: of pictures that measure, where they are in one piece.
        seed: of the draw.
        k: neighbours that vote.
        embedding: first (the state of the class token) or mean (of all states).

    Raises:
        InputError, UnknownNameError: no pictures, ones that do not open, fewer than asked for.
    """
    if data is not None and folder is not None:
        raise InputError(f"task images is given two folders: {data!r} and {folder!r}")
    place = data or folder
    if place is None:
        raise InputError("task images needs a folder of pictures or IDX files: --data FOLDER, or images:folder=FOLDER")
    pictures = read_pictures(place, Wanted(train, test, share, seed))
    return made_of(pictures, size, k, embedding)


def made_of(pictures: Pictures, size: int | None = None, k: int = 5, embedding: str = "first") -> Images:
    """The task of pictures that have been found.

    Raises:
        InputError, UnknownNameError: settings that do not fit them.
    """
    if size is not None and not 1 <= size <= LARGEST:
        raise InputError(f"size is {size}; it must be a whole number of pixels from 1 to {LARGEST:,}")
    if embedding not in EMBEDDINGS:
        raise UnknownNameError("embedding", embedding, EMBEDDINGS)
    if pictures.labelled and not 1 <= k <= len(pictures.train):
        raise InputError(f"k is {k}; it must be from 1 to {len(pictures.train):,}, the pictures to choose from")
    return Images("images", pictures, NEIGHBOURS if pictures.labelled else COSINE, size, embedding, k)


def is_picture(found: Any) -> bool:
    """Whether it is a picture of Pillow, or an array of bytes [height, width] or [height, width, 3]."""
    if isinstance(found, np.ndarray):
        return found.dtype == np.uint8 and (found.ndim == 2 or (found.ndim == 3 and found.shape[2] == 3))
    return isinstance(found, Image.Image)


def from_pictures(given: Sequence[Any]) -> Images:
    """A task of pictures that are at hand, of Pillow or arrays of bytes; one fifth measures.

    Raises:
        InputError: too few, or something else among them.
    """
    for i, picture in enumerate(given):
        if not is_picture(picture):
            raise InputError(f"data[{i}] is {type(picture).__name__}, and data[0] is a picture; all must be pictures")
    names = [f"data[{i}]" for i in range(len(given))]
    whole = Pictures([Example(name) for name in names], [], False, dict(zip(names, given, strict=True)))
    return made_of(whole.in_splits("data", Wanted()))
