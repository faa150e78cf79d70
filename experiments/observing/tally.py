"""Running sums of what attention does, layer by layer: memory does not grow with the split."""

from collections.abc import Collection, Mapping
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walras.mechanisms.inequality import entropy, entropy_bound, gini, gini_bound
from walras.models.attention.token_elimination import real_queries
from walras.models.resources.layer_costs import LayerMacs

STATISTICS = (
    "keys",  # open to the query: not padding, not behind a causal mask
    "kept",  # with a weight above 0
    "total",  # of the weights; below 1 where attention was saved
    "mass",  # of softmax over the same scores, on the kept keys
    "active",  # 1 where the rule changed something, else 0
    "gini",  # over all open keys, normalised: 0 to 1
    "gini_bound",  # (n - k) / (n - 1): the least it can be with k of n keys kept
    "gini_raw",  # not normalised, as in the paper
    "gini_raw_bound",  # 1 - k/n
    "gini_kept",  # over the kept keys only, normalised
    "entropy",  # nats
    "entropy_bound",  # ln k: the greatest it can be
    "before_gini",  # of softmax over the same scores, before the rule: what the model would have chosen
    "before_gini_raw",
    "before_entropy",
    "before_entropy_bound",  # ln n
)
_SAME = 1e-6  # weights that differ by less are the same
_AT_ONCE = 2**20  # weights whose statistics are taken at once


@final
class Tally:
    """What a sweep's setting did in every layer; to be shown every layer by `attention_market` or `token_elimination`.

    Rows are queries that are no padding, in every head. Of a causal model each has its own number of open keys.
    """

    def __init__(self, layers: int, constrained: Collection[int]) -> None:
        self.constrained = frozenset(constrained)
        self.rows = np.zeros(layers)
        self.sums = np.zeros((layers, len(STATISTICS)))
        self.sequences = 0
        self.most_keys = 0  # open to one query
        self._ran = np.zeros((layers, 2))  # tokens, pairs of a query and a key; with padding
        self._real = np.zeros((layers, 3))  # tokens, open pairs, pairs of weight; without, pairs as means over heads

    @torch.no_grad()
    def __call__(self, layer: int, scores: Tensor, weights: Tensor) -> None:
        """Add a batch's scores and weights [batch, heads, queries, keys] of a layer."""
        batch, heads, queries, keys = scores.shape
        real, sums = real_queries(scores), torch.zeros(len(STATISTICS), dtype=torch.float64, device=scores.device)
        step = max(1, _AT_ONCE // (heads * queries * keys))
        for part in (slice(i, i + step) for i in range(0, batch, step)):
            rows = real[part, None].expand(-1, heads, -1)
            found = statistics(scores[part][rows], weights[part][rows] if layer in self.constrained else None)
            sums += torch.stack([found[name].double().sum() for name in STATISTICS])
            self.most_keys = max(self.most_keys, int(found["keys"].max())) if bool(rows.any()) else self.most_keys
        tokens, (open_, kept) = int(real.sum()), (sums[:2] / heads).tolist()
        self.rows[layer] += heads * tokens
        self.sums[layer] += sums.cpu().numpy()
        self.sequences += batch if layer == 0 else 0
        self._ran[layer] += batch * queries, batch * queries * keys
        self._real[layer] += tokens, open_, kept

    @property
    def state(self) -> dict[str, Any]:
        """All of it, for json, which keeps floats to the last bit."""
        found = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}
        return found | {"constrained": sorted(self.constrained)}

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> "Tally":
        """The tally of such a state."""
        found = Tally(len(state["rows"]), state["constrained"])
        for name, value in vars(found).items():
            if name != "constrained":
                setattr(found, name, np.array(state[name]) if isinstance(value, np.ndarray) else state[name])
        return found

    @property
    def by_layer(self) -> NDArray[np.float64]:
        """Means [layers, statistics] over rows."""
        found: NDArray[np.float64] = self.sums / self.rows[:, None]
        return found

    @property
    def left(self) -> float:
        """Share of the first layer's tokens, padding not among them, that the last layer has not."""
        return float(1 - self._real[-1, 0] / self._real[0, 0])

    def mean(self, layers: Collection[int]) -> dict[str, float]:
        """Means over rows of some layers; NaN of none."""
        chosen = sorted(layers)
        rows = self.rows[chosen].sum()
        means = self.sums[chosen].sum(0) / rows if rows else np.full(len(STATISTICS), np.nan)
        return dict(zip(STATISTICS, means.tolist(), strict=True))

    def measured(self, costs: LayerMacs) -> NDArray[np.float64]:
        """MACs [layers, parts] of a mean sequence that truly run: all pairs, and padding."""
        tokens, pairs = self._ran.T / self.sequences
        return costs(tokens, pairs, pairs)

    def theoretical(self, costs: LayerMacs) -> NDArray[np.float64]:
        """The same of kernels that would skip padding, closed pairs, and values of weight 0."""
        return costs(*self._real.T / self.sequences)


def statistics(scores: Tensor, weights: Tensor | None) -> dict[str, Tensor]:
    """`STATISTICS` [rows] of scores and weights [rows, keys]; without weights, of softmax itself."""
    is_open = scores > -torch.inf
    before = scores.softmax(-1)
    n = is_open.sum(-1).to(before)
    raw = (n - 1) / n  # of a normalised Gini coefficient
    wanted, wanted_entropy = gini(before, is_open), entropy(before, is_open)
    chosen = {
        "keys": n, "before_gini": wanted, "before_gini_raw": wanted * raw,
        "before_entropy": wanted_entropy, "before_entropy_bound": entropy_bound(n),
    }  # fmt: skip
    if weights is None:  # every open key is kept, also one whose weight is too small for a floating-point number
        one, nothing = torch.ones_like(n), torch.zeros_like(n)
        return {
            **chosen, "kept": n, "total": one, "mass": one, "active": nothing,
            "gini": wanted, "gini_bound": nothing, "gini_raw": wanted * raw, "gini_raw_bound": nothing,
            "gini_kept": wanted, "entropy": wanted_entropy, "entropy_bound": entropy_bound(n),
        }  # fmt: skip
    kept = weights > 0
    k = kept.sum(-1).to(before)
    found = gini(weights, is_open)
    return {
        **chosen, "kept": k, "total": weights.sum(-1), "mass": (before * kept).sum(-1),
        "active": ((k < n) | ((weights - before).abs().amax(-1) > _SAME)).to(before),
        "gini": found, "gini_bound": gini_bound(k, n),
        "gini_raw": found * raw, "gini_raw_bound": gini_bound(k, n, normalised=False),
        "gini_kept": gini(weights, kept).nan_to_num(0.0),  # of no key at all
        "entropy": entropy(weights, is_open), "entropy_bound": entropy_bound(k),
    }  # fmt: skip
