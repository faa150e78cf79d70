"""Accuracy, spending and waiting of a policy on a trace, and how two policies differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from walras.experiments.queries.unfunded import UnfundedRule
from walras.experiments.replaying.opening import Opening
from walras.experiments.replaying.optimum import most_right
from walras.experiments.replaying.replay import FLOOR, QUEUED, STATUS, UNFUNDED, Replayed
from walras.experiments.replaying.requests import Requests

_RESAMPLES = 2000


@final
@dataclass(frozen=True, eq=False)
class PolicyRun:
    """One policy on a trace.

    Attributes:
        policy: as it was named.
        requests: a row per request: id, arrival, status, granted, used, returned, expired, waited, window, price and
            right.
        windows: a row per window: when it began, requests that came, were funded (those that had waited for it among
            them), had waited, and were charged a floor in it; tokens, those of floors among them; tokens that floors
            used alone; what was spent, and the mean price.
        figures: of the whole trace, by name.
    """

    policy: str
    requests: pd.DataFrame
    windows: pd.DataFrame
    figures: Mapping[str, Any]

    @staticmethod
    def from_replay(
        policy: str, requests: Requests, found: Replayed, opening: Opening, rule: UnfundedRule
    ) -> "PolicyRun":
        """The tables and figures of what came of a trace."""
        table = pd.DataFrame({
            "id": requests.id, "arrival": requests.arrival, "status": [STATUS[int(s)] for s in found.status],
            "granted": found.granted, "used": found.used, "returned": found.returned, "expired": found.expired,
            "waited": found.waited, "window": found.window, "price": found.price, "right": found.right,
        })  # fmt: skip
        windows = _windows(requests, found, opening)
        best = most_right(requests, found.arrived_in, opening.budget, rule, opening.seconds)
        return PolicyRun(policy, table, windows, _figures(requests, found, windows, best))


def _windows(requests: Requests, found: Replayed, opening: Opening) -> pd.DataFrame:
    """A row per window, those in which nobody came among them."""
    last = int(max(found.window.max(), found.arrived_in.max())) + 1

    def number(which: NDArray[np.bool_]) -> NDArray[Any]:
        return np.bincount(found.window[which], minlength=last)

    def total(values: NDArray[Any]) -> NDArray[Any]:
        return np.bincount(found.window, values, last).astype(np.int64)

    begun = np.full(last, np.nan)
    np.fmin.at(begun, found.arrived_in, requests.arrival)
    if opening.queries is None and opening.seconds is not None:
        begun = np.arange(last) * opening.seconds
    granted, returned, floored = total(found.granted), total(found.returned), found.status == FLOOR
    priced = np.isfinite(found.price)
    with np.errstate(invalid="ignore"):
        price = np.bincount(found.window[priced], found.price[priced], last) / number(priced)
    return pd.DataFrame({
        "window": np.arange(last), "begins": begun, "came": np.bincount(found.arrived_in, minlength=last),
        "funded": number(found.funded), "queued": number(found.status == QUEUED), "floored": number(floored),
        "granted": granted, "returned": returned, "expired": total(found.expired), "used": total(found.used),
        "floor": total(found.used * floored), "spent": granted - returned, "price": price,
    })  # fmt: skip


def _figures(requests: Requests, found: Replayed, windows: pd.DataFrame, best: int) -> dict[str, Any]:
    n, right = len(requests), int(found.right.sum())
    funded = found.funded
    low, high = share_interval(right, n)
    waited = found.waited[np.isfinite(found.waited)]
    price = found.price[np.isfinite(found.price)]
    return {
        "requests": n, "funded": int(funded.sum()), "queued": int((found.status == QUEUED).sum()),
        "floored": int((found.status == FLOOR).sum()),
        "unfunded": int((found.status == UNFUNDED).sum()), "right": right, "accuracy": right / n,
        "accuracy_low": low, "accuracy_high": high, "accuracy_of_funded": _share(found.right, funded),
        "most_right": best, "share_of_optimum": right / best if best else None,
        "granted": int(found.granted.sum()), "used": int(found.used.sum()),
        "returned": int(found.returned.sum()), "expired": int(found.expired.sum()),
        "floor_used": int(windows["floor"].sum()), "windows": len(windows),
        "spent_mean": float(windows["spent"].mean()), "spent_max": int(windows["spent"].max()),
        "waited_mean": float(waited.mean()) if len(waited) else None,
        "waited_p95": float(np.quantile(waited, 0.95)) if len(waited) else None,
        "never": float((found.status == UNFUNDED).mean()),
        "price_median": float(np.median(price)) if len(price) else None,
    }  # fmt: skip


def _share(right: NDArray[np.bool_], among: NDArray[np.bool_]) -> float | None:
    return float(right[among].mean()) if among.any() else None


def share_interval(right: int, requests: int) -> tuple[float, float]:
    """95 % bootstrap interval of a share of requests (percentiles).

    Resampled zeros and ones sum to a binomial number, so that is drawn. Requests are resampled as they came out: that
    others would have left other budgets is not in the interval.
    """
    shares = np.random.default_rng(0).binomial(requests, right / requests, _RESAMPLES) / requests
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def difference(right: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[float, float, float]:
    """How much more of the same requests [n] one policy answers right than another, and its 95 % bootstrap interval.

    Paired by request: each is won, lost or alike, and as many of these are drawn.
    """
    n, won, lost = len(right), int((right & ~other).sum()), int((other & ~right).sum())
    shares = [won / n, lost / n, (n - won - lost) / n]
    drawn = np.random.default_rng(0).multinomial(n, shares, _RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, [0.025, 0.975])
    return (won - lost) / n, float(low), float(high)
