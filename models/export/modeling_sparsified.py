"""Linear maps of which every token buys a part, for a transformer that decodes one token at a time.

A token multiplies only those input features (of an FFN's up projection: computes only those neurons) whose squared
value times worth is at least the price. This file lies beside the weights of a sparsified model. It needs torch and
transformers alone; with numba, and weights in float32 or bfloat16 on the CPU, a single token takes the less time,
the less it buys. Whole sequences are multiplied in full, with (`market`) or without (`dense`) dropping what nobody
buys.
"""

import warnings
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from walras.models.export.modeling_walras import SlicedConfig, SlicedNetwork, made_of
from walras.models.export.token_kernels import (
    ACTIVATIONS,
    CpuKernel,
    Kernel,
    cpu_kernel,
    gated_ffn,
    somebody_waits,
    versions,
)
from walras.models.export.token_kernels_cuda import cuda_kernel
from walras.models.export.token_layers import in_two_calls
from walras.models.export.token_settings import MARKET, check_markets, told_of

PREFIX = "Sparsified"


def __getattr__(name: str) -> Any:
    """The class `SparsifiedX` for any class X of transformers; made once."""
    found = made_of(name, PREFIX, SparsifiedNetwork, __name__)
    globals()[name] = found
    return found


class Pass:
    """What all maps of a network know of the forward pass that runs: whether its sequences are of one token each.

    OPT's FFN and the shared expert of Qwen2-MoE are given the tokens of all sequences in one row, out of which nobody
    tells a prompt from a batch that decodes; the maps of attention, which come before them, are not.
    """

    single = True


class Buyer(nn.Module):
    """What both kinds of maps have: who buys, and what a sequence of several tokens does.

    Attributes:
        weight: [buyers, m]: a row is what one buyer buys.
        worth: [buyers] of one squared unit of its signal, divided by m.
        price: [] per multiplication.
        prefill: `DENSE` or `MARKET`.
        running: the forward pass, which the maps of a network share.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, prefill: str, running: Pass | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = bias
        self.prefill = prefill
        self.running = running or Pass()
        self.register_buffer("worth", weight.new_ones(len(weight), dtype=torch.float32))
        self.register_buffer("price", weight.new_zeros((), dtype=torch.float32))
        self._kernel: tuple[Any, Kernel | None] | None = None

    def keep(self, signal: Tensor) -> Tensor:
        """Who buys: bool [..., buyers] from signals [..., buyers]."""
        worth: Any = self.worth
        found: Tensor = ~(signal.float().square() * worth < self.price)  # NaN is multiplied, and seen
        return found

    def trades(self, states: Tensor) -> bool:
        """Whether tokens [batch, length, features], or [batch * length, features], buy each for itself."""
        if states.ndim > 2:
            self.running.single = states.shape[-2] == 1
        if self.prefill == MARKET and states.ndim > 2 and len(states) > 1:
            warnings.warn(
                "several sequences buy at once: each computes what its tokens buy, and nothing is saved", stacklevel=2
            )
        return self.running.single or self.prefill == MARKET

    def kernel(self) -> Kernel | None:
        """What computes a single token, made once; None where there is none for these weights, or slopes are wanted."""
        given: Any = self.__dict__  # a module's attributes take ten times as long, and every token asks every map
        parameter, worth, price = given["_parameters"]["weight"], *map(given["_buffers"].get, ("worth", "price"))
        if torch.compiler.is_compiling() or (torch.is_grad_enabled() and parameter.requires_grad):
            return None
        made_of = [*map(Tensor.data_ptr, (parameter, worth, price)), *versions((worth, price))]
        if self._kernel is None or self._kernel[0] != made_of:
            weight = parameter.detach()
            bar = torch.where(price > 0, (price / worth.clamp(min=1e-38)).sqrt(), 0.0).float()
            self._kernel = (made_of, cpu_kernel(weight, bar) or cuda_kernel(weight, bar))
        return self._kernel[1]

    def forget(self) -> None:
        """Worth or price has changed: the bars are worked out anew."""
        self._kernel = None

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
        kernel = self.kernel() if single else None
        if kernel is None:
            bought = torch.where(self.keep(states), states, 0.0)
            return functional.linear(bought, self.weight.T, self.bias)
        found = kernel.columns(states.detach().reshape(-1).float()).view(*states.shape[:-1], self.weight.shape[1])
        return (found if self.bias is None else found + self.bias).to(states.dtype)


class NeuronBuyer(Buyer):
    """The up projection of a gated FFN, whose neurons buy their rows; `weight` as usual: [neurons, inputs]."""

    def forward(self, states: Tensor, gates: Tensor) -> Tensor:
        """[..., neurons] from [..., inputs] and activated gates [..., neurons]; 0 where a neuron did not buy."""
        if not self.trades(states):
            return functional.linear(states, self.weight, self.bias)
        single = states.numel() == self.weight.shape[1] and not states.requires_grad
        kernel = self.kernel() if single else None
        if kernel is None:
            return torch.where(self.keep(gates), functional.linear(states, self.weight, self.bias), 0.0)
        x, g = (t.detach().reshape(-1).float() for t in (states, gates))
        found = kernel.rows(x, g).view_as(gates)
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
        kernels = self._kernels(states, (gate, up, down))
        if kernels is not None:
            out = gated_ffn(states.detach().reshape(-1).float(), kernels, type(self.activation).__name__)
            return out.view_as(states).to(states.dtype)
        gates = self.activation(gate(states))
        found: Tensor = down(gates * up(states, gates))
        return found

    def _kernels(self, states: Tensor, maps: tuple[Any, Any, Any]) -> tuple[CpuKernel, CpuKernel, CpuKernel] | None:
        """Those of gate, up and down, where one call may compute a single token from all three."""
        single = states.numel() == len(maps[0].weight) and not states.requires_grad and maps[0].trades(states)
        if (
            not single
            or torch.is_grad_enabled()
            or somebody_waits((*maps, self.activation))
            or type(self.activation).__name__ not in ACTIVATIONS
        ):
            return None
        found = [market.kernel() for market in maps if market.bias is None]
        fast = [kernel for kernel in found if isinstance(kernel, CpuKernel)]
        return (fast[0], fast[1], fast[2]) if len(fast) == len(maps) else None


class SparsifiedNetwork(SlicedNetwork):
    """What `SparsifiedX` adds to the class X: fewer heads and neurons, where it was sliced, and markets."""

    _keep_in_fp32_modules_strict = ("worth", "price")

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        attach(self, told_of(config))

    @classmethod
    def from_pretrained(cls, source: Any, *args: Any, **kwargs: Any) -> Any:
        """As in transformers.

        Raises:
            ValueError: weights other than those that the prices were found for; or a worth, price or weight is missing.
        """
        stock: Any = super()
        model, told = stock.from_pretrained(source, *args, **(kwargs | {"output_loading_info": True}))
        check_weights(model, source, told["missing_keys"])
        return (model, told) if kwargs.get("output_loading_info") else model

    def save_pretrained(self, *args: Any, **kwargs: Any) -> Any:
        """As in transformers; whoever trained the network further keeps its prices knowingly."""
        self.config.walras["tokens"]["weights"] = hash_of_weights(self)
        return super().save_pretrained(*args, **kwargs)


SparsifiedConfig = SlicedConfig  # by this name config.json asks for it


def hash_of_weights(model: Any) -> str:
    """SHA-256 of worths, prices, and the weights that are traded, to the precision of bfloat16.

    Empty where weights are of other types.
    """
    markets = sorted((path, module) for path, module in model.named_modules() if isinstance(module, Buyer))
    if any(m.weight.is_meta or m.weight.dtype not in (torch.float32, torch.bfloat16) for _, m in markets):
        return ""
    found = sha256()
    for path, market in markets:
        found.update(f"{path} {[*market.weight.shape]}".encode())
        for buffer in ("worth", "price"):
            found.update(market.get_buffer(buffer).float().cpu().numpy().tobytes())
        found.update(market.weight.detach().to(torch.bfloat16).cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def check_weights(model: Any, source: Any, missing: Iterable[str]) -> None:
    """Refuse a network whose worths and prices were found for other weights, or were changed by hand.

    What is missing is told by name, since its memory is whatever lay there: by chance even the right values.

    Args:
        model: loaded.
        source: where from, for messages.
        missing: names of tensors that the file had not.

    Raises:
        ValueError: its hash is not the one that its configuration tells, or a market's tensor is missing.
    """
    told, found = model.config.walras["tokens"].get("weights"), hash_of_weights(model)
    markets = {path for path, module in model.named_modules() if isinstance(module, Buyer)}
    if (told and found and told != found) or not markets.isdisjoint(name.rpartition(".")[0] for name in missing):
        raise ValueError(
            f"{str(source)!r} has prices of other weights, or worths or prices were changed: what was found for "
            "one network says nothing of another; sparsify this one anew, or save it with `save_pretrained`"
        )


def attach(model: Any, told: Mapping[str, Any]) -> None:
    """Put markets in the place of the maps that a configuration names, in place.

    Args:
        model: with stock maps, whose weights are taken over.
        told: `prefill`, and `maps`: path of a map to its role; `ffns`: path of a gated FFN to the names of its maps.

    Raises:
        ValueError: markets that fit no map of the network, or one another.
    """
    check_markets(model, told)
    running = Pass()
    for path, kind in told["maps"].items():
        model.set_submodule(path, market_of(model.get_submodule(path), kind, told["prefill"], running))
    for path, names in told["ffns"].items():
        ffn = model.get_submodule(path)
        maps = {role: ffn.get_submodule(name) for role, name in names.items()}
        model.set_submodule(path, MarketFFN(ffn, names, maps).train(ffn.training))
        in_two_calls(model.get_submodule(path.rpartition(".")[0]), Buyer, MarketFFN)


def market_of(module: Any, kind: str, prefill: str, running: Pass | None = None) -> Buyer:
    """The market of a stock linear map, in a network's forward pass: `features` or `neurons` buy."""
    weight = module.weight.detach()
    inputs_first = not hasattr(module, "in_features")  # GPT-2's maps
    if kind == "features":
        return FeatureBuyer(weight if inputs_first else weight.T.contiguous(), module.bias, prefill, running)
    return NeuronBuyer(weight.T.contiguous() if inputs_first else weight, module.bias, prefill, running)
