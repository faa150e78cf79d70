"""Sums over what a single token buys, in time that shrinks with it: on an NVIDIA GPU, compiled by Triton.

This text travels inside the file of code of a sparsified model. Not run on a GPU so far: its tests use Triton's
interpreter where Triton is installed.
"""

import contextlib
import importlib
from typing import Any

from torch import Tensor

from walras.models.export.token_kernels import Kernel

triton: Any = None
tl: Any = None
with contextlib.suppress(ImportError):
    triton = importlib.import_module("triton")
    tl = importlib.import_module("triton.language")

BUYERS, OUTPUTS = 64, 64  # of a block; a block of the weight is read only where somebody buys


class CudaKernel(Kernel):
    """By blocks, whose weights are read for who buys alone.

    Args:
        weight: [buyers, m] on a GPU, of a floating-point type.
        bar: [buyers] that the size of a signal must reach.
    """

    def __init__(self, weight: Tensor, bar: Tensor) -> None:
        self._weight, self._bar = weight, bar

    def columns(self, x: Tensor) -> Tensor:
        """A program for some buyers and outputs; programs of the same outputs add up."""
        n, m = self._weight.shape
        out = x.new_zeros(m)
        grid = (triton.cdiv(m, OUTPUTS), triton.cdiv(n, BUYERS))
        columns_program[grid](x, self._weight, self._bar, out, n, m, BUYERS, OUTPUTS)
        return out

    def rows(self, x: Tensor, gates: Tensor) -> Tensor:
        """A program for some buyers, over all of x."""
        n, m = self._weight.shape
        out = x.new_zeros(n)
        rows_program[(triton.cdiv(n, BUYERS),)](x, gates, self._weight, self._bar, out, n, m, BUYERS, OUTPUTS)
        return out


def cuda_kernel(weight: Tensor, bar: Tensor) -> CudaKernel | None:
    """The kernel of a weight; None without Triton, and for weights elsewhere."""
    fits = weight.device.type == "cuda" and weight.is_floating_point()
    return CudaKernel(weight, bar.to(weight.device)) if fits and triton is not None else None


if triton is not None:

    def _columns_program(
        x: Any, weight: Any, bar: Any, out: Any, n: Any, m: Any, buyers: tl.constexpr, outputs: tl.constexpr
    ) -> None:
        """Add sum_j x_j weight[j, o] over some buyers j to some outputs o."""
        o = tl.program_id(0) * outputs + tl.arange(0, outputs)
        j = tl.program_id(1) * buyers + tl.arange(0, buyers)
        signal = tl.load(x + j, mask=j < n, other=0.0)
        short = tl.abs(signal) < tl.load(bar + j, mask=j < n, other=0.0)
        buys = (j < n) & (short == 0)  # NaN is multiplied, and seen
        wanted = buys[:, None] & (o < m)[None, :]
        some = tl.load(weight + j[:, None] * m + o[None, :], mask=wanted, other=0.0).to(tl.float32)
        total = tl.sum(tl.where(buys, signal, 0.0)[:, None] * some, axis=0)
        tl.atomic_add(out + o, total, mask=o < m)

    def _rows_program(
        x: Any, gates: Any, weight: Any, bar: Any, out: Any, n: Any, m: Any, buyers: tl.constexpr,
        outputs: tl.constexpr,
    ) -> None:  # fmt: skip
        """Write weight[i, :] . x for some neurons i that buy."""
        i = tl.program_id(0) * buyers + tl.arange(0, buyers)
        short = tl.abs(tl.load(gates + i, mask=i < n, other=0.0)) < tl.load(bar + i, mask=i < n, other=0.0)
        buys = (i < n) & (short == 0)
        total = tl.zeros((buyers,), dtype=tl.float32)
        for first in range(0, m, outputs):
            o = first + tl.arange(0, outputs)
            some = tl.load(weight + i[:, None] * m + o[None, :], mask=buys[:, None] & (o < m)[None, :], other=0.0)
            total += tl.sum(some.to(tl.float32) * tl.load(x + o, mask=o < m, other=0.0)[None, :], axis=1)
        tl.store(out + i, tl.where(buys, total, 0.0), mask=i < n)

    columns_program, rows_program = triton.jit(_columns_program), triton.jit(_rows_program)
