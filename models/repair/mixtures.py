"""Least squares for mixtures of experts that have lost some: the router's logits, and what the others write."""

from collections.abc import Sequence

import torch
from torch import Tensor

from walras.models.repair.normal_equations import Normal, add_to_halves, fitted
from walras.models.repair.repair import PrunedMixture
from walras.models.repair.tensor_files import TensorFiles

SWEEPS = 2
"""How often every expert is re-fitted to what the others leave."""


def refit_router(pruned: PrunedMixture, ridges: Sequence[float]) -> None:
    """Re-fit the router's rows of the experts that stay to the dense network's logits, in place.

    With X' what enters the router now, X in the dense network and W its rows: min over V of
    |X' (W + V)' - X W'|^2 + ridge * mean square of a feature * tokens * |V|^2. Where nothing has changed further down V
    is 0: experts that left take their rows with them, and the logits of the others are what they were.
    """
    keep = pruned.keep.nonzero().flatten()
    if not len(keep):
        return
    halves: list[Normal] = []
    for place, (now, dense, _) in enumerate(pruned.read()):
        x, gap = now.double(), pruned.dense.logits(dense.to(pruned.dense.router_weight.dtype))[:, keep].double()
        gap = gap - pruned.mixture.logits(now.to(pruned.mixture.router_weight.dtype))[:, keep].double()
        add_to_halves(halves, place, Normal(x.T @ x, (x.T @ gap,)))
    weight = pruned.mixture.router_weight
    weight[keep] = (weight[keep].double() + fitted(halves, ridges).T).to(weight.dtype)


def refit_experts(pruned: PrunedMixture, ridges: Sequence[float]) -> None:
    """Re-fit what the experts that stay write so that the residual stream is that of the dense network, in place.

    A token's output is the sum over its experts e of W_e z_e, with z_e the expert's features times its share of the
    token. All W_e together are a ridge regression of S - S' on these, too large to solve at once: expert by expert,
    each is fitted to what the others leave over (block coordinate descent, `SWEEPS` times), on the tokens that the
    router, as it is now, gives it. A ridge is chosen for each expert, on tokens that its fit has not seen.
    """
    mixture, keep = pruned.mixture, pruned.keep
    weight, change = mixture.output_weight, dict[int, Tensor]()
    files = TensorFiles(weight)
    try:
        count = 0
        for count, (x, _, gap) in enumerate(pruned.read(), 1):
            own = x.to(weight.dtype)
            for name, tensor in (("x", own), ("gap", gap), ("shares", mixture.shares(own, keep).to(gap.dtype))):
                files.keep((name, count - 1), tensor)
        for _ in range(SWEEPS):
            for expert in keep.nonzero().flatten().tolist():
                halves: list[Normal] = []
                for place in range(count):
                    rows, z = _features(files, pruned, place, expert)
                    left = files["gap", place][rows].to(z.device)
                    if expert in change:
                        left = left + z @ change[expert].to(z.dtype)
                    add_to_halves(halves, place, Normal((z.T @ z).double(), ((z.T @ left).double(),)))
                new = fitted(halves, ridges)
                step = (new - change.get(expert, torch.zeros_like(new))).to(pruned.wide)
                for place in range(count):
                    rows, z = _features(files, pruned, place, expert)
                    gap = files["gap", place]
                    gap[rows.to(gap.device)] -= (z @ step).to(gap.device)
                change[expert] = new
        for expert, found in change.items():
            weight[expert] = (weight[expert].double() + found.T).to(weight.dtype)
    finally:
        files.close()


def _features(files: TensorFiles, pruned: PrunedMixture, place: int, expert: int) -> tuple[Tensor, Tensor]:
    """Which rows of a batch an expert is given, and its features there times its share."""
    device = pruned.mixture.output_weight.device
    share = files["shares", place][:, expert]
    rows = (share > 0).nonzero().flatten()
    z = pruned.mixture.features(expert, files["x", place][rows].to(device)).to(pruned.wide)
    return rows, z * share[rows].unsqueeze(-1).to(device)
