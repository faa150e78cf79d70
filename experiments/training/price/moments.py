"""What an optimizer remembers of a network's weights, carried over to the weights that are left once units are cut."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models import Inventory, compact
from walras.models.export.copying import shared_copy
from walras.models.units.weights import fold

_POWERS = {"exp_avg_sq": 2, "max_exp_avg_sq": 2, "square_avg": 2, "sum": 2}
"""Of the gradient, in what optimizers of PyTorch keep; all else that has a weight's shape goes with the gradient."""


@final
@dataclass(frozen=True)
class Moments:
    """Moving averages of gradients and the number of steps behind them, by the parameter's name.

    Without them an optimizer begins anew in the middle of training: in its first steps every weight moves by the whole
    rate, whatever its gradient, and the rate has left its warm-up behind.
    """

    of: Mapping[str, Mapping[str, Any]]

    @staticmethod
    @torch.no_grad()
    def kept(optimizer: Any, model: nn.Module, inventory: Inventory, keep: Tensor, gates: Tensor) -> "Moments":
        """Those of the network that `compact` leaves of `model` once `gates` [n] are folded into its weights.

        1. A network like the model, with a moment in the place of every weight, is cut as the model is.
        2. Where a weight w becomes g w, the loss has 1 / g of its gradient in w as its gradient in g w: first moments
           are divided by g, second ones by its square. Gates of those that stay (bool `keep` [n]) must not be 0.

        What an optimizer keeps of a weight in another shape than the weight's, as factored moments, cannot be cut: it
        forgets weights of which it does, unless they are not cut.
        """
        if optimizer is None:
            return Moments({})
        small = {name: p.shape for name, p in compact(model, inventory, keep.cpu(), share=True).named_parameters()}
        known: dict[str, Mapping[str, Any]] = {
            name: optimizer.state[p] for name, p in model.named_parameters() if name in small and optimizer.state.get(p)
        }
        known = {
            n: own for n, own in known.items() if small[n] == model.get_parameter(n).shape or not _odd(own, model, n)
        }
        found = {name: {k: _copied(v) for k, v in own.items()} for name, own in known.items()}
        for moment in {k for name, own in known.items() for k in own if _alike(own[k], model, name)}:
            network = shared_copy(model, model.parameters())
            for name, parameter in network.named_parameters():
                own = known.get(name, {}).get(moment)
                parameter.copy_(own) if own is not None and _alike(own, model, name) else parameter.zero_()
            fold(network, inventory, torch.where(keep, 1 / gates, 0.0) ** _POWERS.get(moment, 1))
            for name, parameter in compact(network, inventory, keep.cpu()).named_parameters():
                if _alike(known.get(name, {}).get(moment), model, name):
                    found[name][moment] = parameter.detach().clone()
        return Moments(found)

    def give(self, optimizer: Any, model: nn.Module) -> None:
        """Let an optimizer go on from them; of other weights of the network it knows nothing."""
        if optimizer is None:
            return
        for name, parameter in model.named_parameters():
            optimizer.state.pop(parameter, None)
            if name in self.of:
                optimizer.state[parameter] = dict(self.of[name])


def check_trains(optimizer: Any, model: nn.Module) -> None:
    """Refuse an optimizer, where there is one, that trains nothing of a model: what is cut would not be trained on.

    Raises:
        InputError: as said.
    """
    if optimizer is None:
        return
    own = {id(parameter) for parameter in model.parameters()}
    if not any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"]):
        raise InputError(f"the {type(optimizer).__name__} trains no weight of {type(model).__name__}")


def replace_parameters(optimizer: Any, replaced: Mapping[nn.Parameter, nn.Parameter | None]) -> None:
    """Let an optimizer, where there is one, train other parameters in the place of some, or none; it knows none yet."""
    if optimizer is None:
        return
    now = {id(old): new for old, new in replaced.items()}
    for group in optimizer.param_groups:
        found = [now.get(id(parameter), parameter) for parameter in group["params"]]
        group["params"] = [parameter for parameter in found if parameter is not None]
    for old in replaced:
        optimizer.state.pop(old, None)


def _alike(value: Any, model: nn.Module, name: str) -> bool:
    """Whether something kept of a weight has a number for each of the weight's."""
    return isinstance(value, Tensor) and value.shape == model.get_parameter(name).shape


def _odd(own: Mapping[str, Any], model: nn.Module, name: str) -> bool:
    """Whether something kept of a weight is a tensor of another shape, a single number excepted."""
    return any(isinstance(v, Tensor) and v.numel() != 1 and not _alike(v, model, name) for v in own.values())


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else copy.copy(value)
