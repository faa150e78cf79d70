"""How unequally something is shared out: Lorenz curve, Gini coefficient, Shannon entropy.

Amounts are tensors [..., n]; a mask [..., n] says which holders count, all where there is none. Attention weights
are one case, the wealth of agents another.
"""

import math

import numpy as np
import torch
from torch import Tensor

from walras.errors import InputError


def lorenz(amount: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Lorenz curve: the poorest share of the holders, and the share of the whole that they have, both [..., n + 1].

    Both rise from 0 to 1. Holders that do not count leave points at (0, 0). Where all amounts are 0 they are equal.

    Raises:
        InputError: an amount below 0, infinite or NaN.
    """
    rising, among = _rising(amount, mask)
    place = _place(rising, among).clamp(min=0)
    whole = rising.sum(-1, keepdim=True)
    share, nothing = place / among, torch.zeros_like(whole)
    held = torch.where(whole > 0, rising.cumsum(-1) / whole, share)
    return torch.cat([nothing, share], -1), torch.cat([nothing, held], -1)


def gini(amount: Tensor, mask: Tensor | None = None, *, normalised: bool = True) -> Tensor:
    """Gini coefficient [...]: sum_ij |a_i - a_j| / (2 n sum_i a_i), by sorting: sum_i (2i - n - 1) a_(i) / (n sum a).

    It is 0 where all amounts are equal or 0, and 1 - 1/n where one holder has all. The normalised one, times
    n / (n - 1), is 1 there; of one holder alone it is 0, of none NaN.

    Raises:
        InputError: an amount below 0, infinite or NaN.
    """
    rising, among = _rising(amount, mask)
    whole, n = rising.sum(-1), among.squeeze(-1)
    apart = ((2 * _place(rising, among) - among - 1) * rising).sum(-1)
    scale = (n - 1).clamp(min=1) if normalised else n
    return torch.where(n > 0, apart / (scale * whole.where(whole > 0, 1.0)), torch.nan)


def entropy(amount: Tensor, mask: Tensor | None = None, *, base: float = math.e) -> Tensor:
    """Shannon entropy [...] of the shares p = a / sum a: -sum_i p_i log p_i, in nats; in bits with base 2.

    It is 0 where one holder has all, and log n where all amounts are equal, such as 0; of no holder NaN.

    Raises:
        InputError: an amount below 0, infinite or NaN; a base that is not above 1.
    """
    if not 1 < base < math.inf:
        raise InputError(f"base is {base!r}; it must be a number above 1, such as e or 2")
    counted, among = _counted(amount, mask)
    whole, n = counted.sum(-1, keepdim=True), among.squeeze(-1)
    shares = counted / whole.where(whole > 0, 1.0)
    nats = torch.where(whole.squeeze(-1) > 0, torch.special.entr(shares).sum(-1), n.log())
    return torch.where(n > 0, nats / math.log(base), torch.nan)


def gini_bound(holders: Tensor, among: Tensor, *, normalised: bool = True) -> Tensor:
    """The least Gini coefficient [...] where only `holders` of `among` [...] have anything: 1 - k/n.

    The normalised one is (n - k) / (n - 1); of one person alone it is 0.
    """
    return (among - holders) / ((among - 1).clamp(min=1) if normalised else among)


def entropy_bound(holders: Tensor) -> Tensor:
    """The greatest entropy [...] in nats where only so many have anything: ln k; 0 where none has."""
    return holders.clamp(min=1).log()


def _counted(amount: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Amounts [..., n] with 0 for holders that do not count, and the number [..., 1] of those that do."""
    counted = amount if mask is None else torch.where(mask, amount, 0)
    counted = counted if counted.is_floating_point() else counted.to(torch.get_default_dtype())
    if not bool(((counted >= 0) & (counted < torch.inf)).all()):
        raise InputError("amounts must be finite numbers of at least 0 to be unequally shared")
    if mask is None:
        return counted, counted.new_full((*counted.shape[:-1], 1), counted.shape[-1])
    return counted, mask.expand(counted.shape).sum(-1, keepdim=True).to(counted)


def _rising(amount: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The same in ascending order: those that do not count come first, or among others that have nothing."""
    counted, among = _counted(amount, mask)
    if counted.is_cpu and not counted.requires_grad and counted.dtype != torch.bfloat16:
        # numpy sorts ten times as fast
        return torch.from_numpy(np.sort(counted.numpy(), -1)), among
    return counted.sort(-1).values, among


def _place(rising: Tensor, among: Tensor) -> Tensor:
    """Place [..., n] among those that count, from 1; of those that do not, 0 and below."""
    n = rising.shape[-1]
    return torch.arange(1, n + 1, device=rising.device, dtype=rising.dtype) - (n - among)
