"""From levels to resources and money: what a level costs at given prices, and how much of each resource is used."""

import torch
from torch import Tensor


def charge(cost: Tensor, price: Tensor) -> Tensor:
    """Price of one level to each agent [..., n], from cost [..., n, K] and the resources' prices [..., K].

    [..., 1] where one cost stands for all agents (expanded, as where none is given): one number instead of n.
    """
    if cost.shape[-2] and cost.stride(-2) == 0:
        cost = cost[..., :1, :]
    return (cost * price.unsqueeze(-2)).sum(-1)


def resource_use(cost: Tensor, quantity: Tensor) -> Tensor:
    """Use of every resource [..., K] in float64, from cost [..., n, K] and quantity [..., n]."""
    if cost.shape[-2] and cost.stride(-2) == 0:
        return quantity.sum(-1, dtype=torch.float64).unsqueeze(-1) * cost.select(-2, 0)
    return (cost * quantity.unsqueeze(-1)).sum(-2, dtype=torch.float64)


def capacity(supply: Tensor) -> Tensor:
    """The most that may be used [..., K] in float64: the supply, and what rounding alone may add to a use of it.

    Costs and supply were rounded to their dtype: in float32, 36 costs of 1/72 may come to more than a supply of 1/2.
    """
    return supply.double() * (1 + max(1e-13, 2 * torch.finfo(supply.dtype).eps))


def rounding(dtype: torch.dtype) -> float:
    """The relative difference of two amounts of that dtype, sums of many numbers, that counts as none."""
    return {torch.float64: 1e-10, torch.float32: 1e-5}.get(dtype, 5e-2)
