"""How long it takes to clear a million bidders, as a multiple of sorting them.

python -m walras.experiments.benchmarks.speed.clearing [bidders]
"""

import sys
import time
from collections.abc import Callable, Iterator

import torch

from walras.mechanisms import IndivisibleBids, Mechanism, ShadowPrice, UniformPriceAuction

RULES: tuple[Mechanism, ...] = (ShadowPrice(), UniformPriceAuction())
ROUNDS = 7


def jobs(bidders: int, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """One sort of the bidders' values per cost, and each rule clearing them at 40 % of their total cost."""
    random = torch.Generator().manual_seed(0)
    value = torch.rand(bidders, generator=random, dtype=dtype)
    cost = torch.rand(bidders, 1, generator=random, dtype=dtype) + 0.5
    supply, bids, per_cost = cost.sum(0) * 0.4, IndivisibleBids(value), value / cost.squeeze(-1)

    def clear(rule: Mechanism) -> Callable[[], object]:
        return lambda: rule(bids, supply, cost)

    return {"torch.sort": lambda: torch.sort(per_cost)} | {type(rule).__name__: clear(rule) for rule in RULES}


def shortest(work: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Shortest time of each job in seconds; the jobs take turns, so that all meet the same load of the machine."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, job in work.items():
            start = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - start)
    return {name: min(measured) for name, measured in times.items()}


def report(bidders: int) -> Iterator[str]:
    """The lines that are printed, one a precision and job."""
    yield f"{bidders:,} bidders, {torch.get_num_threads()} thread(s), shortest of {ROUNDS} rounds taken in turns"
    for dtype in (torch.float32, torch.float64):
        found = shortest(jobs(bidders, dtype))
        for name, seconds in found.items():
            multiple = seconds / found["torch.sort"]
            yield f"{str(dtype).removeprefix('torch.')}  {name:20} {seconds * 1e3:8.1f} ms {multiple:6.2f} sorts"


if __name__ == "__main__":
    for line in report(int(sys.argv[1]) if sys.argv[1:] else 1_000_000):
        print(line, flush=True)
