"""Fast clearing of one unit of attention among Tsallis bidders, and the choice of the k best bids."""

import torch
from torch import Tensor

from walras.mechanisms.solvers.root import newton_step, search

_OUT = -2.0  # in units in which the price lies between -1 and 0: what is below the price whatever the others bid


def entmax(scores: Tensor, alpha: float) -> Tensor:
    """alpha-entmax [..., keys] of scores [..., keys], alpha > 1 (Peters, Niculae and Martins 2019, arXiv 1905.05702).

    1. x = (alpha - 1) (score - highest score). The weights are max(x - p, 0)^(1 / (alpha - 1)), and the price p at
       which they add up to 1 lies between -1, where the best key alone takes 1, and 0.
    2. Find p without a graph: exactly by sorting for alpha = 2 (Martins and Astudillo 2016, arXiv 1602.02068,
       algorithm 1) and alpha = 1.5 (Peters et al., algorithm 2), by `search` otherwise.
    3. One Newton step at the root makes p differentiable.
    """
    with torch.no_grad():
        highest = scores.amax(-1, keepdim=True)
        highest = torch.where(highest > -torch.inf, highest, 0.0)
    x = (alpha - 1) * (scores - highest)

    def excess(price: Tensor) -> Tensor:
        return _demand(x, price, alpha).sum(-1, dtype=torch.float64) - 1

    with torch.no_grad():
        near = x.clamp(min=_OUT)
        if alpha in _BY_SORTING:
            price = _BY_SORTING[alpha](near.sort(-1, descending=True).values.double()).to(x.dtype)
        else:
            price = search(excess, torch.zeros_like(x[..., 0]), torch.full_like(x[..., 0], -1.0))
    if x.requires_grad:
        price = newton_step(excess, price)
    return _demand(x, price, alpha)


def best(values: Tensor, k: int) -> Tensor:
    """Bool [..., keys]: the k greatest values above -inf of each row, or all there are; ties by position."""
    if k >= values.shape[-1]:
        return values > -torch.inf
    last = values.kthvalue(values.shape[-1] - k + 1, -1, keepdim=True).values  # no sorting, as topk of many is
    above, tied = values > last, values == last
    chosen = above | (tied & (tied.cumsum(-1) <= k - above.sum(-1, keepdim=True)))
    return chosen & (values > -torch.inf)


def _demand(x: Tensor, price: Tensor, alpha: float) -> Tensor:
    gap = x - price.unsqueeze(-1)
    buys = gap > 0
    return torch.where(buys, torch.where(buys, gap, 1.0) ** (1 / (alpha - 1)), 0.0)  # no NaN slope at 0


def _sparsemax_price(ordered: Tensor) -> Tensor:
    count = torch.arange(1, ordered.shape[-1] + 1, dtype=ordered.dtype, device=ordered.device)
    price = (ordered.cumsum(-1) - 1) / count
    return _last(price, price < ordered)


def _entmax15_price(ordered: Tensor) -> Tensor:
    count = torch.arange(1, ordered.shape[-1] + 1, dtype=ordered.dtype, device=ordered.device)
    mean = ordered.cumsum(-1) / count
    spread = ordered.square().cumsum(-1) / count - mean.square()
    price = mean - (1 / count - spread).clamp(min=0).sqrt()
    return _last(price, price <= ordered)


def _last(price: Tensor, inside: Tensor) -> Tensor:
    """The price [...] at the greatest count [..., keys] of buyers that are all inside."""
    return price.gather(-1, inside.sum(-1, keepdim=True) - 1).squeeze(-1)


_BY_SORTING = {2.0: _sparsemax_price, 1.5: _entmax15_price}
