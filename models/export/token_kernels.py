"""Sums over what a single token buys, in time that shrinks with it: on the CPU, compiled by numba.

This text travels inside the file of code of a sparsified model; it needs torch alone, and does without numba.
"""

import contextlib
import importlib
import logging
import pickle
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

_LOG = logging.getLogger(__name__)
_CAPTURING = "transformers.utils.output_capturing"

numba: Any = None  # without it the same answers, in the time of the dense network or more
with contextlib.suppress(ImportError):
    numba = importlib.import_module("numba")
    import numpy as np
    from numba.extending import intrinsic


def somebody_waits(modules: Iterable[nn.Module]) -> bool:
    """Whether hooks want to see one of these modules work; those that transformers leaves behind count when it asks."""
    watched = [m for m in modules if m._forward_hooks or m._forward_pre_hooks]
    if not watched:
        return False
    hooks = [hook for m in watched for hook in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]
    asks = getattr(sys.modules.get(_CAPTURING), "_active_collector", None)
    asked = asks is None or bool(asks.get())
    return any(asked or getattr(hook, "__module__", "") != _CAPTURING for hook in hooks)


def versions(tensors: Iterable[Tensor]) -> list[int]:
    """How often each was changed in place; nothing where one was made in inference mode, which does not count."""
    try:
        return [t._version for t in tensors]
    except RuntimeError:
        return []


class Kernel(ABC):
    """Multiplies one token by the rows of a weight [buyers, m] that it buys; a buyer buys by the size of its signal."""

    @abstractmethod
    def columns(self, x: Tensor) -> Tensor:
        """[m] sum over the buyers j of x_j weight_j, from their signals x [buyers], both in float32."""

    @abstractmethod
    def rows(self, x: Tensor, gates: Tensor) -> Tensor:
        """[buyers] weight_i . x for who buys, 0 for the others, from x [m] and signals [buyers], all in float32."""


class CpuKernel(Kernel):
    """By loops over who buys, in as many threads as torch has.

    Args:
        weight: [buyers, m] in float32 or bfloat16.
        bar: [buyers] that the size of a signal must reach.
    """

    def __init__(self, weight: Tensor, bar: Tensor) -> None:
        self._weight = (weight.view(torch.uint16) if weight.dtype == torch.bfloat16 else weight).numpy()
        self._bar = bar.numpy()

    @property
    def arrays(self) -> tuple[Any, Any]:
        """Weight and bar."""
        return self._weight, self._bar

    def columns(self, x: Tensor) -> Tensor:
        """Four columns at a time."""
        return torch.from_numpy(some_columns(x.numpy(), self.arrays, threads_now()))

    def rows(self, x: Tensor, gates: Tensor) -> Tensor:
        """Row by row."""
        return torch.from_numpy(some_rows(x.numpy(), gates.numpy(), self.arrays, threads_now()))


def gated_ffn(x: Tensor, maps: tuple[CpuKernel, CpuKernel, CpuKernel], activation: str) -> Tensor:
    """[hidden] down(act(gate(x)) * up(x)) of one token x [hidden] in float32, in one call.

    Args:
        x: the token.
        maps: gate, up and down.
        activation: a name of `ACTIVATIONS`.
    """
    gate, up, down = (kernel.arrays for kernel in maps)
    return torch.from_numpy(some_gated(x.numpy(), (gate, up, down, ACTIVATIONS[activation]), threads_now()))


def some_columns(x: Any, market: tuple[Any, ...], threads: int) -> Any:
    """sum_j x_j weight[j, :] over the features j that buy, of a market that begins with its weight and bars.

    What is compiled for several threads is never called by what is compiled: numba's cache does not outlive that.
    """
    weight, bar = market[:2]
    return one_columns(x, weight, bar) if threads == 1 else many_columns(x, weight, bar, threads)


def some_rows(x: Any, gates: Any, market: tuple[Any, ...], threads: int) -> Any:
    """weight[i, :] . x for the neurons i that buy, 0 for the others."""
    weight, bar = market[:2]
    return one_rows(x, gates, weight, bar) if threads == 1 else many_rows(x, gates, weight, bar, threads)


def some_gated(x: Any, ffn: tuple[Any, ...], threads: int) -> Any:
    """down(act(gate(x)) * up(x)) of what is bought."""
    gate, up, down, activation = ffn
    if threads == 1:
        return one_gated(x, gate, up, down, activation)
    gates = some_columns(x, gate, threads)
    act(gates, activation)
    return some_columns(gates * some_rows(x, gates, up, threads), down, threads)


ACTIVATIONS = {"SiLU": 0, "SiLUActivation": 0, "GELUTanh": 1}
"""Activation functions of gated FFNs that a kernel computes, by the names of their classes."""


def cpu_kernel(weight: Tensor, bar: Tensor) -> CpuKernel | None:
    """The kernel of a weight; None without numba, and for weights elsewhere or of other types."""
    fits = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.bfloat16)
    return CpuKernel(weight, bar) if fits and numba is not None else None


def threads_now() -> int:
    """As many threads as torch uses, if numba has them; each computes a part of a sum."""
    found = min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)
    if found > 1 and numba.get_num_threads() != found:
        numba.set_num_threads(found)
    return int(found)


_DAMAGED = (OSError, EOFError, ValueError, pickle.PickleError, AttributeError, ImportError)
"""What numba raises of a store that it cannot read."""


class MachineCode:
    """Numba's store of what it has compiled; whatever is wrong with it costs time, and nothing else.

    Says once per process, in a line, that something is compiled, for that takes seconds, and minutes where the
    processor is busy.

    Args:
        store: of one function.
    """

    _said: ClassVar[bool] = False

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """What was compiled for a signature; None where it is to be compiled, as where the store is damaged."""
        found = None
        try:
            found = self._store.load_overload(signature, target)
        except _DAMAGED:
            with contextlib.suppress(OSError):
                self._store.flush()
        if found is None and not MachineCode._said:
            MachineCode._said = True
            place = self._store.cache_path
            kept = f"kept in {place}" if place else "in every process, until NUMBA_CACHE_DIR is a folder to keep it in"
            _LOG.warning("Compiling loops for tokens that buy what they are computed with (takes seconds): %s", kept)
        return found

    def save_overload(self, signature: Any, found: Any) -> None:
        """Keep what was compiled, if there is room."""
        with contextlib.suppress(*_DAMAGED):
            self._store.save_overload(signature, found)


def compiled(loop: Any, **options: Any) -> Any:
    """A loop that numba compiles when it is called first; kept for later processes where numba may write."""
    found = numba.njit(fastmath={"contract", "reassoc", "nsz"}, nogil=True, **options)(loop)
    with contextlib.suppress(RuntimeError):  # none of the folders that numba tries can be written
        found.enable_caching()
    found._cache = MachineCode(found._cache)
    return found


if numba is not None:

    @intrinsic
    def float_of(_: Any, bits: Any) -> Any:
        """The float32 with these 32 bits."""

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(signature.return_type))

        return numba.types.float32(numba.types.uint32), code

    def _number(weight: Any) -> Any:
        return weight

    def _number_of(weight: Any) -> Any:
        """A float32 as it is; a bfloat16, which is the upper half of a float32, from its bits."""
        bits_to_float: Any = float_of
        if isinstance(weight, numba.types.Integer):
            return lambda weight: bits_to_float(np.uint32(np.uint32(weight) << np.uint32(16)))
        return lambda weight: weight

    def _buyers(x: Any, bar: Any) -> Any:
        """Who buys, and how many."""
        index, kept = np.empty(len(x), np.int64), 0
        for j in range(len(x)):
            if not abs(x[j]) < bar[j]:  # NaN is multiplied, and seen
                index[kept] = j
                kept += 1
        return index[:kept]

    def _columns(x: Any, weight: Any, index: Any, out: Any) -> None:
        """Add x_j weight[j, :] over the features j of an index; four at a time, so that sums are loaded seldom."""
        kept, m = len(index), len(out)
        whole = kept - kept % 4
        for i in range(0, whole, 4):
            a, b, c, d = index[i], index[i + 1], index[i + 2], index[i + 3]
            p, q, r, s = x[a], x[b], x[c], x[d]
            for o in range(m):
                near = p * _number(weight[a, o]) + q * _number(weight[b, o])
                out[o] += near + r * _number(weight[c, o]) + s * _number(weight[d, o])
        for i in range(whole, kept):
            a = index[i]
            p = x[a]
            for o in range(m):
                out[o] += p * _number(weight[a, o])

    def _rows(x: Any, weight: Any, index: Any, out: Any) -> None:
        """Write weight[i, :] . x for the neurons i of an index."""
        for k in range(len(index)):
            i = index[k]
            total = np.float32(0.0)
            for j in range(len(x)):
                total += x[j] * _number(weight[i, j])
            out[i] = total

    def _all_columns(x: Any, weight: Any, bar: Any) -> Any:
        """sum_j x_j weight[j, :] over the features j that buy."""
        out = np.zeros(weight.shape[1], np.float32)
        columns(x, weight, buyers(x, bar), out)
        return out

    def _all_rows(x: Any, gates: Any, weight: Any, bar: Any) -> Any:
        """weight[i, :] . x for the neurons i that buy, 0 for the others."""
        out = np.zeros(len(weight), np.float32)
        rows(x, weight, buyers(gates, bar), out)
        return out

    def _split_columns(x: Any, weight: Any, bar: Any, threads: Any) -> Any:
        """The same by several threads, each of which writes some of the outputs."""
        m = weight.shape[1]
        out, index = np.zeros(m, np.float32), buyers(x, bar)
        for part in numba.prange(threads):
            first, last = m * part // threads, m * (part + 1) // threads
            columns(x, weight[:, first:last], index, out[first:last])
        return out

    def _split_rows(x: Any, gates: Any, weight: Any, bar: Any, threads: Any) -> Any:
        """The same by several threads, each of which computes some of the neurons that buy."""
        out, index = np.zeros(len(weight), np.float32), buyers(gates, bar)
        for part in numba.prange(threads):
            first, last = len(index) * part // threads, len(index) * (part + 1) // threads
            rows(x, weight, index[first:last], out)
        return out

    def _act(gates: Any, activation: Any) -> None:
        """SiLU or the tangent form of GELU, in place."""
        for i in range(len(gates)):
            g = gates[i]
            if activation == 0:
                gates[i] = g / (np.float32(1.0) + np.exp(-g))
            else:
                inner = np.float32(0.7978845608028654) * (g + np.float32(0.044715) * g * g * g)
                gates[i] = np.float32(0.5) * g * (np.float32(1.0) + np.tanh(inner))

    def _one_gated(x: Any, gate: Any, up: Any, down: Any, activation: Any) -> Any:
        """down(act(gate(x)) * up(x)) of what is bought; each map is its weight and its bars."""
        gates = one_columns(x, gate[0], gate[1])
        act(gates, activation)
        return one_columns(gates * one_rows(x, gates, up[0], up[1]), down[0], down[1])

    numba.extending.overload(_number, strict=False)(_number_of)  # types of Python are none of numba's
    buyers, columns, rows = map(compiled, (_buyers, _columns, _rows))
    one_columns, one_rows = map(compiled, (_all_columns, _all_rows))
    many_columns, many_rows = (compiled(loop, parallel=True) for loop in (_split_columns, _split_rows))
    act, one_gated = map(compiled, (_act, _one_gated))
