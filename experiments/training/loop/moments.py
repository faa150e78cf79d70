"""What AdamW remembers of a network's weights, carried over to the weights that are left once units are cut out."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from walras.models import Inventory, compact
from walras.models.units.weights import fold

_POWERS = {"exp_avg": 1, "exp_avg_sq": 2}


@final
@dataclass(frozen=True)
class Moments:
    """First and second moments of gradients and the number of steps behind them, by the parameter's name.

    Without them an optimizer begins anew in the middle of training: in its first steps every weight moves by the whole
    rate, whatever its gradient, and the rate has left its warm-up behind.
    """

    of: Mapping[str, Mapping[str, Tensor]]

    @staticmethod
    @torch.no_grad()
    def kept(
        optimizer: torch.optim.Optimizer, model: nn.Module, inventory: Inventory, keep: Tensor, gates: Tensor
    ) -> "Moments":
        """Those of the network that `compact` leaves of `model` once `gates` [n] are folded into its weights.

        1. A network like the model, with a moment in the place of every weight, is cut as the model is.
        2. Where a weight w becomes g w, the loss has 1 / g of its gradient in w as its gradient in g w: first moments
           are divided by g, second ones by its square. Gates of those that stay (bool `keep` [n]) must not be 0.
        """
        state, found = optimizer.state, dict[str, dict[str, Tensor]]()
        known = {name: state[p] for name, p in model.named_parameters() if p in state}
        for moment, power in _POWERS.items():
            network = copy.deepcopy(model)
            for name, parameter in network.named_parameters():
                parameter.copy_(known[name][moment]) if name in known else parameter.zero_()
            fold(network, inventory, torch.where(keep, 1 / gates, 0.0) ** power)
            for name, parameter in compact(network, inventory, keep.cpu()).named_parameters():
                if name in known:
                    own = found.setdefault(name, {"step": known[name]["step"].clone()})
                    own[moment] = parameter.detach().clone()
        return Moments(found)

    def give(self, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
        """Let an optimizer that has not taken a step yet go on from them."""
        for name, parameter in model.named_parameters():
            if name in self.of:
                optimizer.state[parameter] = dict(self.of[name])
