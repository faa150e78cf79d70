"""Linear maps of which every token buys a part, for a transformer that decodes one token at a time.

A token multiplies only those input features (of an FFN's up projection: computes only those neurons) whose squared
value times worth is at least the price. This file lies beside the weights of a sparsified model. It needs torch and
transformers alone; with numba, and weights in float32 or bfloat16 on the CPU, a single token takes time in proportion
to what it buys. Whole sequences are multiplied in full, with (`market`) or without (`dense`) dropping what nobody buys.
"""

import contextlib
import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from walras.models.export.modeling_walras import SlicedConfig, SlicedNetwork, made_of

numba: Any = None  # without it the same answers, in the time of the dense network or more
with contextlib.suppress(ImportError):
    numba = importlib.import_module("numba")
    import numpy as np
    from numba.extending import intrinsic

PREFIX = "Sparsified"
DENSE, MARKET = "dense", "market"
"""What a sequence of several tokens does: buy everything, or each token as if it were alone."""


def __getattr__(name: str) -> Any:
    """The class `SparsifiedX` for any class X of transformers; made once."""
    found = made_of(name, PREFIX, SparsifiedNetwork, __name__)
    globals()[name] = found
    return found


class Buyer(nn.Module):
    """What both kinds of maps have: who buys, and what a sequence of several tokens does.

    Attributes:
        weight: [buyers, m]: a row is what one buyer buys.
        worth: [buyers] of one squared unit of its signal, divided by m.
        price: [] per multiplication.
        prefill: `DENSE` or `MARKET`.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, prefill: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = bias
        self.prefill = prefill
        self.register_buffer("worth", weight.new_ones(len(weight), dtype=torch.float32))
        self.register_buffer("price", weight.new_zeros((), dtype=torch.float32))
        self._views: tuple[Any, ...] | None = None

    def keep(self, signal: Tensor) -> Tensor:
        """Who buys: bool [..., buyers] from signals [..., buyers]."""
        worth: Any = self.worth
        found: Tensor = ~(signal.float().square() * worth < self.price)  # NaN is multiplied, and seen
        return found

    def trades(self, states: Tensor) -> bool:
        """Whether tokens [batch, length, features] buy each for itself."""
        alone = states.ndim < 3 or states.shape[-2] == 1
        if self.prefill == MARKET and states.ndim > 2 and len(states) > 1:
            warnings.warn(
                "several sequences buy at once: each computes what its tokens buy, and nothing is saved", stacklevel=2
            )
        return alone or self.prefill == MARKET

    def views(self) -> tuple[Any, ...] | None:
        """Weights and bars as arrays of the kernels, made once; None where there is no kernel for them."""
        if self._views is None or self._views[0] != self.weight.data_ptr():
            self._views = (self.weight.data_ptr(), *_arrays(self))
        return self._views[1:] or None

    def forget(self) -> None:
        """Worth or price has changed: the bars are worked out anew."""
        self._views = None

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Worths and prices move between devices, and keep their type."""
        self.forget()
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch gives it no types
        for name, buffer in before.items():
            now = self.get_buffer(name)
            if now.dtype != buffer.dtype and not now.is_meta:
                setattr(self, name, buffer.to(now.device))
        return self


class FeatureBuyer(Buyer):
    """A linear map whose input features buy their columns; `weight` is transposed: [inputs, outputs]."""

    def forward(self, states: Tensor) -> Tensor:
        """[..., outputs] from [..., inputs]."""
        if not self.trades(states):
            return functional.linear(states, self.weight.T, self.bias)
        single = states.numel() == len(self.weight) and not states.requires_grad
        views = self.views() if single else None
        if views is None:
            bought = torch.where(self.keep(states), states, 0.0)
            return functional.linear(bought, self.weight.T, self.bias)
        sums = kept_columns(states.detach().reshape(-1).float().numpy(), *views)
        return self._finished(sums, states, self.weight.shape[1])

    def _finished(self, sums: Any, states: Tensor, outputs: int) -> Tensor:
        found = torch.from_numpy(sums).view(*states.shape[:-1], outputs)
        return (found if self.bias is None else found + self.bias).to(states.dtype)


class NeuronBuyer(Buyer):
    """The up projection of a gated FFN, whose neurons buy their rows; `weight` as usual: [neurons, inputs]."""

    def forward(self, states: Tensor, gates: Tensor) -> Tensor:
        """[..., neurons] from [..., inputs] and activated gates [..., neurons]; 0 where a neuron did not buy."""
        if not self.trades(states):
            return functional.linear(states, self.weight, self.bias)
        single = states.numel() == self.weight.shape[1] and not states.requires_grad
        views = self.views() if single else None
        if views is None:
            return torch.where(self.keep(gates), functional.linear(states, self.weight, self.bias), 0.0)
        x, g = (t.detach().reshape(-1).float().numpy() for t in (states, gates))
        found = torch.from_numpy(kept_rows(x, g, *views)).view_as(gates)
        return (found if self.bias is None else torch.where(self.keep(gates), found + self.bias, 0.0)).to(states.dtype)


class MarketFFN(nn.Module):
    """A gated FFN, down(act(gate(x)) * up(x)), whose neurons buy after the gate has been computed."""

    def __init__(self, ffn: nn.Module, names: Mapping[str, str], maps: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for role, name in names.items():  # under their old names, for the state dict
            self.add_module(name, maps[role])
        self.activation: Any = ffn.get_submodule("act_fn")
        self.roles = dict(names)

    def forward(self, states: Tensor) -> Tensor:
        """[..., hidden] from [..., hidden]."""
        gate, up, down = (self.get_submodule(self.roles[role]) for role in ("gate", "up", "down"))
        gates = self.activation(gate(states))
        found: Tensor = down(gates * up(states, gates))
        return found


class SparsifiedNetwork(SlicedNetwork):
    """What `SparsifiedX` adds to the class X: fewer heads and neurons, where it was sliced, and markets."""

    _keep_in_fp32_modules_strict = ("worth", "price")

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        attach(self, config.walras["tokens"])


SparsifiedConfig = SlicedConfig  # by this name config.json asks for it


def attach(model: Any, told: Mapping[str, Any]) -> None:
    """Put markets in the place of the maps that a configuration names, in place.

    Args:
        model: with stock maps, whose weights are taken over.
        told: `prefill`, and `maps`: path of a map to its role; `ffns`: path of a gated FFN to the names of its maps.
    """
    for path, kind in told["maps"].items():
        module = model.get_submodule(path)
        model.set_submodule(path, market_of(module, kind, told["prefill"]))
    for path, names in told["ffns"].items():
        ffn = model.get_submodule(path)
        maps = {role: ffn.get_submodule(name) for role, name in names.items()}
        model.set_submodule(path, MarketFFN(ffn, names, maps).train(ffn.training))


def market_of(module: Any, kind: str, prefill: str) -> Buyer:
    """The market of a stock linear map: `features` or `neurons` buy."""
    weight = module.weight.detach()
    inputs_first = not hasattr(module, "in_features")  # GPT-2's maps
    if kind == "features":
        return FeatureBuyer(weight if inputs_first else weight.T.contiguous(), module.bias, prefill)
    return NeuronBuyer(weight.T.contiguous() if inputs_first else weight, module.bias, prefill)


def _arrays(market: Buyer) -> tuple[Any, ...]:
    """The weight as the kernels read it, and the bar [buyers] that the size of a signal must reach."""
    weight = market.weight.detach()
    if numba is None or weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16):
        return ()
    worth: Any = market.worth
    price: Any = market.price
    bar = torch.where(price > 0, (price / worth.clamp(min=1e-38)).sqrt(), 0.0)
    bits = weight.view(torch.uint16) if weight.dtype == torch.bfloat16 else weight
    return bits.numpy(), bar.float().numpy()


def _no_kernel(*_: Any) -> Any:
    raise RuntimeError("there is no numba")


if numba is None:
    kept_columns: Callable[..., Any] = _no_kernel
    kept_rows: Callable[..., Any] = _no_kernel
else:

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

    numba.extending.overload(_number, strict=False)(_number_of)  # types of Python are none of numba's
    fast: Any = {"fastmath": {"contract", "reassoc", "nsz"}, "nogil": True, "cache": True}
    buyers, columns, rows = (numba.njit(**fast)(loop) for loop in (_buyers, _columns, _rows))
    one_columns, one_rows = (numba.njit(**fast)(loop) for loop in (_all_columns, _all_rows))
    many_columns, many_rows = (numba.njit(parallel=True, **fast)(loop) for loop in (_split_columns, _split_rows))

    def kept_columns(x: Any, weight: Any, bar: Any) -> Any:
        """sum_j x_j weight[j, :] over the features j that buy, by as many threads as torch has."""
        threads = torch.get_num_threads()
        return one_columns(x, weight, bar) if threads == 1 else many_columns(x, weight, bar, _parts(threads))

    def kept_rows(x: Any, gates: Any, weight: Any, bar: Any) -> Any:
        """weight[i, :] . x for the neurons i that buy, 0 for the others, by as many threads as torch has."""
        threads = torch.get_num_threads()
        return one_rows(x, gates, weight, bar) if threads == 1 else many_rows(x, gates, weight, bar, _parts(threads))

    def _parts(threads: int) -> int:
        """As many parts as there are threads to compute them."""
        found = min(threads, numba.config.NUMBA_NUM_THREADS)
        if numba.get_num_threads() != found:
            numba.set_num_threads(found)
        return int(found)
