"""What lies between an output projection and the residual stream, such as a norm or a scale, as two factors."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import Layer
from walras.models.units.projections import features


@final
@dataclass(frozen=True, eq=False)
class Gain:
    """By what the output of a projection is multiplied before it is added to the residual stream.

    With y [tokens, hidden] the output, what reaches the stream is y times `rows(y)` times `columns`. A layer scale
    (DINOv2) has a number a feature and rows of 1; a norm (Gemma 3) divides every token by its root mean square besides.
    A repair takes the rows for what they are in the dense network, whatever the weights become. So it is fitted to what
    reaches the stream by linear least squares: exactly behind a scale, and behind a norm exactly wherever the dense
    network's output can be had again; else up to a factor a token, which the norm itself sets right.
    """

    module: nn.Module | None  # None: the output is added as it is
    columns: Tensor  # [hidden]
    normed: bool

    @staticmethod
    def none(projection: nn.Module) -> "Gain":
        """What a projection writes is added as it is."""
        return Gain(None, projection.get_parameter("weight").new_ones(features(projection)[1]), False)

    @staticmethod
    @torch.no_grad()
    def of(layer: Layer, path: str) -> "Gain":
        """Behind the output projection at `path` below a layer; the module there is asked what it does.

        Raises:
            InputError: it does neither of the two.
        """
        row = layer.row
        after = next((s.after for s in (row.heads, row.ffn) if s.output == path), "")
        projection = layer.at(path)
        weight, hidden = projection.get_parameter("weight"), features(projection)[1]
        ones = weight.new_ones(1, hidden)
        if not after:
            return Gain.none(projection)
        module: Any = layer.at(after)
        columns = module(ones)[0]
        signs = 2.0 * (torch.arange(hidden, device=ones.device) % 3).to(ones).unsqueeze(0) - 1  # -1, 1, 3, -1, ...
        found, close = module(signs), {"rtol": max(1e-4, torch.finfo(ones.dtype).eps ** 0.5), "atol": 0.0}
        for normed in (False, True):
            size = signs.square().mean().sqrt() if normed else 1.0
            if torch.allclose(found, signs * columns / size, **close):
                return Gain(module, columns, normed)
        raise InputError(
            f"weights cannot be repaired: what {layer.path}.{path} writes goes through {after!r}, a "
            f"{type(module).__name__}, which is neither a number a feature nor a norm by the root mean square; valid: "
            "repair=none"
        )

    def rows(self, output: Tensor) -> Tensor:
        """The factor [tokens, 1] of every token of an output [tokens, hidden]."""
        if self.module is None or not self.normed:
            return output.new_ones(len(output), 1)
        scaled = output * self.columns
        size = scaled.square().sum(-1, keepdim=True)
        written: Tensor = self.module(output)
        return (written * scaled).sum(-1, keepdim=True) / size.clamp(min=torch.finfo(size.dtype).tiny)

    def excess(self, output: Tensor, rows: Tensor) -> Tensor | float:
        """What an output [tokens, hidden] adds to the stream beyond output times `columns` times given rows."""
        if self.module is None or not self.normed:
            return 0.0
        written: Tensor = self.module(output)
        return written - output * self.columns * rows

    def undone(self, change: Tensor) -> Tensor:
        """A change of a weight's rows, or of a bias, [..., hidden] that is wished for in the stream, before the gain.

        A feature of which nothing reaches the stream is left as it is.
        """
        columns = self.columns.to(change)
        return torch.where(columns == 0, 0.0, change / columns)
