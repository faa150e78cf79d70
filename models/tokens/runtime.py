"""A network that computes every token from what it buys, without hooks: the form that decodes fast, and is saved."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from walras.errors import InputError
from walras.models.export.copying import shared_copy
from walras.models.export.modeling_sparsified import Buyer, attach
from walras.models.export.token_settings import DENSE
from walras.models.objective import Batch, inputs_of
from walras.models.tokens.relative_prices import Prices
from walras.models.tokens.token_map import TokenMap
from walras.models.tokens.worths import Worths


def described_maps(maps: Sequence[TokenMap], prefill: str) -> dict[str, Any]:
    """The maps as plain data, as `modeling_sparsified.attach` takes them."""
    ffns: dict[str, dict[str, str]] = {}
    of_layer = {(m.layer, m.name): m.path for m in maps}
    for traded in maps:
        if traded.signal:
            ffn = traded.signal.rpartition(".")[0]
            roles = {role: of_layer[traded.layer, role] for role in ("gate", "up", "down")}
            ffns[ffn] = {role: path.removeprefix(f"{ffn}.") for role, path in roles.items()}
    kinds = {m.path: "neurons" if m.signal else "features" for m in maps}
    return {"prefill": prefill, "maps": kinds, "ffns": ffns}


def opened(model: nn.Module, maps: Sequence[TokenMap], prefill: str = DENSE) -> nn.Module:
    """A copy of a network whose maps are markets, all prices being 0; what is not traded is shared with the network.

    Args:
        model: the dense network.
        maps: those that are traded.
        prefill: what a sequence of several tokens does: `dense` or `market`.
    """
    copy = shared_copy(model)
    attach(copy, described_maps(maps, prefill))
    return copy.eval()


def sparse(
    model: nn.Module, maps: Sequence[TokenMap], worths: Worths, prices: Prices, prefill: str = DENSE
) -> nn.Module:
    """The same at prices.

    Args:
        model: the dense network.
        maps: those that are traded.
        worths: by path of the map, [bidders].
        prices: by path, per multiplication.
        prefill: what a sequence of several tokens does: `dense` or `market`.
    """
    copy = opened(model, maps, prefill)
    settle(copy, maps, worths, prices)
    return copy


@torch.no_grad()
def check_same(model: nn.Module, market: nn.Module, batch: Batch) -> None:
    """Refuse a network that computes something else once its maps are markets, although everybody buys.

    Raises:
        InputError: as said; its FFN then follows another formula than down(act(gate(x)) * up(x)).
    """
    given = {name: value[:1] for name, value in inputs_of(batch).items()}
    dense, ours = (network(**given)[0].float() for network in (model, market))
    gap = float((dense - ours).abs().max() / dense.abs().max().clamp(min=1e-30))
    if not gap <= (1e-3 if next(model.parameters()).dtype == torch.float32 else 0.1):
        raise InputError(
            f"{type(model).__name__} computes something else once its maps are markets, although everybody buys "
            f"(a difference of {gap:.2g} of the largest output): its layers follow another formula than the table says"
        )


@torch.no_grad()
def settle(model: nn.Module, maps: Sequence[TokenMap], worths: Worths, prices: Mapping[str, float]) -> None:
    """Write worths and prices into the markets of a network, in place."""
    for traded in maps:
        market = model.get_submodule(traded.path)
        assert isinstance(market, Buyer)
        market.get_buffer("worth").copy_(worths[traded.path] / traded.cost)
        market.get_buffer("price").fill_(prices[traded.path])
        market.forget()
