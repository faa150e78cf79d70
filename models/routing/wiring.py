"""Routing rules in the place of the routers' own top-k in a real mixture of experts, for the time of a context."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import Layer, layers_of
from walras.models.routing.rule import Allotment, RoutingRule
from walras.models.routing.table import ROUTING_RULES
from walras.models.units.gates import hooked
from walras.models.units.routing import router_routing, shares_of

# Is shown the layer's number, and its logits [tokens, experts] and allotment at every forward pass.
Watch: TypeAlias = Callable[[int, Tensor, Allotment], None]


@final
class Routers:
    """The routers of a model under rules, one a mixture, from the bottom to the top.

    In training mode the rule itself decides, in evaluation mode `rule.at_evaluation()`. `learn`, once a step of
    training, lets every rule take in its last batch. What rules have learned is in `rules[i].learned`: keep it in
    checkpoints, and begin again with rules that have it.
    """

    def __init__(self, layers: Sequence[Layer], rules: Sequence[RoutingRule], watch: Watch | None) -> None:
        self.layers, self.rules, self.watch = tuple(layers), list(rules), watch
        self._last: dict[int, Allotment] = {}

    def learn(self) -> None:
        """Hand the last batch of training to every rule."""
        for place, allotment in self._last.items():
            self.rules[place] = self.rules[place].after(allotment)
        self._last.clear()

    @torch.no_grad()
    def allot(self, place: int, logits: Tensor, k: int, training: bool) -> Tensor:
        """Which experts each token gets, bool [tokens, experts], in mixture number `place`.

        Experts that are closed for all tokens, by a gate or since they were cut out, take no part.
        """
        rule = self.rules[place] if training else self.rules[place].at_evaluation()
        bids = logits.detach()
        bids = bids if bids.dtype == torch.float64 else bids.float()
        there = bids.isfinite().all(0)
        allotment = rule(bids[:, there], min(k, int(there.sum())))
        if training:
            self._last[place] = allotment
        if self.watch is not None:
            self.watch(self.layers[place].index, bids[:, there], allotment)
        chosen = torch.zeros_like(bids, dtype=torch.bool)
        chosen[:, there] = allotment.chosen
        return chosen


@contextmanager
def routing_market(
    model: nn.Module, rules: RoutingRule | str | Sequence[RoutingRule | str], watch: Watch | None = None
) -> Iterator[Routers]:
    """Within the context, rules decide which experts tokens get; also undone on an error.

    Works for every family with experts, however transformers computes them. The weights of a token's experts are what
    the family's router makes of their logits, whichever were chosen; a token without an expert gets zeros. Tokens of a
    batch are one market, padding included. Where activations are checkpointed, run the backward pass inside as well.

    Args:
        model: a Hugging Face mixture of experts, or a module around one.
        rules: one for all mixtures, or one for each, as objects or by name (`expert-choice:capacity=2`).
        watch: is shown every mixture at every forward pass: the layer's number, the logits [tokens, experts] of the
            experts that are there, and the allotment.

    Raises:
        InputError: a model without mixtures; not as many rules as mixtures.
        UnknownNameError: an unknown rule.
    """
    layers = [layer for layer in layers_of(model) if layer.mixture is not None]
    layers = [layer for layer in layers if _experts(layer)]
    if not layers:
        raise InputError(f"{type(model).__name__} has no mixture of experts, whose routers a rule could decide for")
    several = [rules] * len(layers) if isinstance(rules, (str, RoutingRule)) else list(rules)
    if len(several) != len(layers):
        raise InputError(
            f"{len(several)} routing rules for {len(layers)} mixtures; valid: one for all, or one for each"
        )
    routers = Routers(layers, [ROUTING_RULES.make(rule) for rule in several], watch)
    with hooked(_attached(routers)):
        yield routers


def _attached(routers: Routers) -> Iterator[Any]:
    """Hooks on the routers, after those of gates."""
    for place, layer in enumerate(routers.layers):
        assert layer.mixture is not None
        router: Any = layer.at(layer.mixture.router)
        yield router.register_forward_hook(_Decision(routers, place, layer))


def _experts(layer: Layer) -> int:
    assert layer.mixture is not None
    experts: Any = layer.at(layer.mixture.experts)
    return int(experts.num_experts)


@final
class _Decision:
    """A hook that replaces the weights and indices of a router by those of the experts that a rule chose.

    Tokens may have different numbers of experts. Places that are left have a weight of 0: at an expert that does not
    exist, which costs nothing, where experts are computed one after another ("eager"), and at the first one elsewhere.
    """

    def __init__(self, routers: Routers, place: int, layer: Layer) -> None:
        self._routers, self._place, self._layer = routers, place, layer

    def __call__(
        self, module: nn.Module, _: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        router: Any = module
        assert self._layer.mixture is not None
        logits, weights, index = output
        own = logits[:, : router.num_experts]  # those that were cut out stand behind
        chosen = self._routers.allot(self._place, own, int(router.top_k), module.training)
        wide = own if own.dtype == torch.float64 else own.float()
        most = max(int(chosen.sum(-1).max()), 1)
        ranked = wide.detach().masked_fill(~chosen, -torch.inf).topk(most, -1).indices
        places = torch.where(chosen.gather(-1, ranked), ranked, int(router.num_experts)).to(index.dtype)
        shares = shares_of(wide, places, router_routing(router, self._layer.mixture))
        experts: Any = self._layer.at(self._layer.mixture.experts)
        if experts.config._experts_implementation != "eager":
            places = torch.where(places < router.num_experts, places, 0)
        return logits, shares.to(weights.dtype), places
