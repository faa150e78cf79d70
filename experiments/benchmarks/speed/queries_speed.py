"""How fast queries clear, and how good clearing online is.

    python -m walras.experiments.benchmarks.speed.queries_speed

Times of `ShadowPrice` on a million surge bids as multiples of one `torch.sort` of that length, in turn; the median time
of one query of the online market with 10,000 live ones, line in to line out; and the utility of the online market as a
share of the offline optimum over the same queries, stationary (after two windows) and after the mix has shifted.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from numpy.typing import NDArray

from walras.experiments.cli.screen import output
from walras.experiments.queries.stream import answer
from walras.files.writing import write_whole
from walras.market.queries import Clear, OnlineMarket, Queries
from walras.mechanisms import ShadowPrice, SurgeBids
from walras.models.resources.timing import interleaved

N, RATE, WINDOW, HEADROOM = 1_000_000, 300.0, 500, 300.0


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("runs/queries_speed.csv"),
    repeats: Annotated[int, typer.Option(help="Timed clearings of each.", min=1)] = 3,
) -> None:
    """Measure, print and write."""
    rows = [*clearing(repeats), stream(), *online()]
    table = pd.DataFrame(rows, columns=["what", "value", "limit"])
    write_whole(out, str(table.to_csv(index=False, float_format="%.4g")))
    output().print(table.to_string(index=False))
    output().print(f"{torch.get_num_threads()} thread(s)")


def clearing(repeats: int) -> list[tuple[str, float, float]]:
    """A million bids of one shape, and of shapes that differ, against a sort."""
    draw = torch.Generator().manual_seed(0)
    threshold = torch.empty(N, dtype=torch.float64).log_normal_(5, 0.8, generator=draw)
    alpha, beta = (
        low + high * torch.rand(N, dtype=torch.float64, generator=draw) for low, high in ((0.5, 1), (0.005, 0.01))
    )
    budget = 0.3 * float((threshold + 100).sum())
    markets = {"common": SurgeBids(threshold, 1.0, 0.01), "heterogeneous": SurgeBids(threshold, alpha, beta)}
    calls: list[Any] = [lambda: threshold.sort()]
    calls += [lambda bids=bids: ShadowPrice()(bids, budget) for bids in markets.values()]
    base, *times = interleaved(calls, repeats)
    limits = (10.0, 25.0)
    return [
        (f"a million, {name}: sorts", took / base, limit)
        for name, took, limit in zip(markets, times, limits, strict=True)
    ]


def stream() -> tuple[str, float, float]:
    """Milliseconds of a line at the median, 10,000 funded queries being live."""
    market, random = OnlineMarket(RATE * WINDOW, WINDOW, headroom=HEADROOM), np.random.default_rng(0)
    times: list[float] = []
    number = 0
    while len(times) < 2000:
        number += 1
        line = json.dumps({"id": number, "threshold": float(random.lognormal(6, 0.8))}) + "\n"
        start = time.perf_counter()
        answer(market, number, line)
        if len(market) >= 10_000:
            times.append(time.perf_counter() - start)
    return "stream, 10,000 live: ms a query", 1e3 * float(np.median(times)), 1.0


def online() -> list[tuple[str, float, float]]:
    """Shares of the offline optimum, the worst of five seeds."""
    stationary, shifted = [], []
    for seed in range(5):
        random = np.random.default_rng(seed)
        thresholds = np.concatenate([random.lognormal(6, 0.8, 10 * WINDOW), random.lognormal(7, 0.8, 10 * WINDOW)])
        market = OnlineMarket(RATE * WINDOW, WINDOW, headroom=HEADROOM)
        tokens = np.array([market.offer(str(i), float(t)).max_tokens for i, t in enumerate(thresholds)])
        stationary.append(share(thresholds, tokens, slice(2 * WINDOW, 10 * WINDOW)))
        shifted.append(share(thresholds, tokens, slice(10 * WINDOW, 12 * WINDOW)))
    nan = float("nan")
    return [("online, stationary: share of the optimum", min(stationary), 0.95),
            ("online, two windows after a shift: share of the optimum", min(shifted), nan)]  # fmt: skip


def share(thresholds: NDArray[np.float64], tokens: NDArray[np.int64], part: slice) -> float:
    """Utility of grants as a share of the optimum of one batch with the same budget."""
    x = np.clip((tokens[part] - thresholds[part]) / HEADROOM, 0, 1)
    best = Clear(headroom=HEADROOM)(Queries(thresholds[part]), RATE * len(x)).utility.sum()
    return float((x * np.exp(1 - x))[tokens[part] > 0].sum() / best)


if __name__ == "__main__":
    typer.run(main)
