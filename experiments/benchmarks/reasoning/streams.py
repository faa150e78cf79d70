"""Online policies on streams of real answers that come one at a time, evenly or in bursts.

    python -m walras.experiments.benchmarks.reasoning.streams --traces FOLDER

Queries, answers and predictor are those of `reasoning` (balanced mix). 50 of them come per window of 60 seconds on
average: as a Poisson process, or as one whose rate changes between a burst (4 times the mean for 15 seconds on average)
and a calm (a quarter for 60 seconds), which has the same mean. Answers are written at 50 tokens a second, and settled
when they end; queries that are not funded are turned away. The tokens of `fixed-cap` are those that answer most on
other streams of the same kind.

Written: reasoning_streams_cells.jsonl (a line per stream and budget, which is not played again) and
reasoning_streams.csv: a row per kind of arrivals, budget and policy, with means over streams, bootstrap 95 % intervals,
and how much more `clear` answers, paired by stream.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from walras.experiments.benchmarks.kept_rows import read_rows, write_rows
from walras.experiments.benchmarks.reasoning.reasoning import LEVELS, MIXES, bootstrap, train
from walras.experiments.benchmarks.reasoning.traces import SETS, greedy, tokenizer
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.queries.predictors import FittedRidge, Problem
from walras.experiments.queries.unfunded import Reject
from walras.experiments.replaying.figures import PolicyRun
from walras.experiments.replaying.opening import Opening
from walras.experiments.replaying.replay import replay
from walras.experiments.replaying.requests import Column, Requests
from walras.files.writing import write_whole
from walras.market.queries import ONLINE_POLICIES, OnlineMarket, TimeWindows

SECONDS, A_WINDOW = 60.0, 50  # of a window, and queries that come in one on average
BUDGETS = (100, 200, 400)  # tokens a query, on average
KINDS = ("poisson", "bursty")
BURST, CALM = (4.0, 15.0), (0.25, 60.0)  # rate as a multiple of the mean, and seconds that it lasts on average
CAPS = (50, 75, 100, 150, 200, 300, 400, 600, 900, 1400)
OTHER = (10_000, 10_001)  # seeds of streams on which the fixed cap is chosen
FIGURES = ("accuracy", "accuracy_of_funded", "share_of_optimum", "spent_mean", "spent_max", "expired", "never")
RULES: dict[str, tuple[str, bool]] = {
    "clear": ("clear", True), "clear, no chances": ("clear", False),
    **{name: (name, True) for name in ("shortest-first", "multiplier-search", "proportional", "uniform", "fixed-cap",
                                       "unlimited")},
}  # fmt: skip
"""Rows of the table: the policy, and whether predicted chances weigh bids."""


@final
@dataclass(frozen=True, eq=False)
class Pool:
    """Queries of a level, with their predictions and the answer of each [n]."""

    threshold: Column
    chance: Column
    tokens: NDArray[np.int64]
    correct: NDArray[np.bool_]


def main(
    traces: Annotated[Path, typer.Option(help="Folder reasoning-gym-eval of the traces.")],
    out: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("runs/reasoning"),
    streams: Annotated[int, typer.Option(help="Streams of a kind.", min=2)] = 20,
    queries: Annotated[int, typer.Option(help="Queries of a stream.", min=1)] = 500,
) -> None:
    """Play all streams that are not played yet; write the table."""
    file = out / "reasoning_streams_cells.jsonl"
    with ended_in_words():
        done = read_rows(file)
        played = {(row["arrivals"], row["budget"], row["seed"], row["queries"]) for row in done}
        wanted = [
            (kind, budget, seed)
            for seed in range(streams) for kind in KINDS for budget in BUDGETS
            if (kind, budget, seed, queries) not in played
        ]  # fmt: skip
        count = tokenizer() if wanted else None
        problems = {name: greedy(traces, name, count) for name in SETS} if wanted else {}
        with progress_bar() as progress:
            bar = progress.add_task("Streams", total=len(wanted))
            for row in _cells(problems, wanted, queries) if wanted else ():
                done.append(row)
                write_rows(file, done)
                told = f"{row['arrivals']}, {row['budget']} tokens a query, stream {row['seed']}"
                progress.update(bar, advance=1, description=told)
    table = summarised([row for row in done if row["queries"] == queries and row["seed"] < streams])
    write_whole(out / "reasoning_streams.csv", str(table.to_csv(index=False, float_format="%.5g")))
    shown = table.pivot_table(index=["arrivals", "policy"], columns="budget", values="accuracy", sort=False)
    output().print(shown.round(3).to_string())


def _cells(
    problems: Mapping[str, list[Problem]], wanted: Sequence[tuple[str, int, int]], queries: int
) -> Iterator[dict[str, Any]]:
    """Every policy on every stream that is wanted."""
    predictor, _, _ = train(problems["gsm8k"])
    pools = [_pool([p for name in sets for p in problems[name]], predictor) for sets in LEVELS.values()]
    caps: dict[tuple[str, int], int] = {}
    for kind, budget, seed in wanted:
        if (kind, budget) not in caps:
            caps[kind, budget] = best_cap([stream(pools, kind, queries, other) for other in OTHER], budget)
        requests = stream(pools, kind, queries, seed)
        rules = {
            name: figures(requests, f"fixed-cap:tokens={caps[kind, budget]}" if policy == "fixed-cap" else policy,
                          budget, chances)
            for name, (policy, chances) in RULES.items()
        }  # fmt: skip
        yield {"arrivals": kind, "budget": budget, "seed": seed, "queries": queries, "cap": caps[kind, budget],
               "rules": rules}  # fmt: skip


def figures(requests: Requests, policy: str, budget: int, chances: bool = True) -> dict[str, float | None]:
    """What a policy makes of a stream; tokens per window as shares of its budget."""
    if not chances:
        requests = Requests(requests.id, requests.arrival, requests.threshold, np.ones(len(requests)), requests.cap,
                            requests.tokens, requests.correct)  # fmt: skip
    opening = Opening(float(budget * A_WINDOW), SECONDS)
    mean = len(requests) / max(float(requests.arrival[-1]) / SECONDS, 1.0)  # known to whoever has served before
    market = OnlineMarket(opening.budget, TimeWindows(SECONDS, mean), ONLINE_POLICIES.make(policy))
    told = PolicyRun.from_replay(policy, requests, replay(requests, market), opening, Reject()).figures
    shares = {name: told[name] / opening.budget for name in ("spent_mean", "spent_max")}
    return {**{name: told[name] for name in FIGURES}, **shares, "expired": told["expired"] / max(told["granted"], 1)}


def best_cap(streams: Sequence[Requests], budget: int) -> int:
    """The fixed cap that answers most on some streams."""
    right = [sum(figures(s, f"fixed-cap:tokens={cap}", budget)["accuracy"] or 0.0 for s in streams) for cap in CAPS]
    return CAPS[int(np.argmax(right))]


def stream(pools: Sequence[Pool], kind: str, queries: int, seed: int) -> Requests:
    """Queries of the balanced mix, drawn with replacement and shuffled, and when they come."""
    random = np.random.default_rng(seed)
    numbers = random.multinomial(queries, MIXES["balanced"])
    drawn = [random.integers(len(pool.tokens), size=n) for pool, n in zip(pools, numbers, strict=True)]
    order = random.permutation(queries)
    threshold, chance, tokens, correct = (
        np.concatenate([getattr(pool, name)[i] for pool, i in zip(pools, drawn, strict=True)])[order]
        for name in ("threshold", "chance", "tokens", "correct")
    )
    at = arrivals(kind, queries, random)
    return Requests([str(i) for i in range(queries)], at - at[0], threshold, chance, np.full(queries, np.inf), tokens,
                    correct)  # fmt: skip


def arrivals(kind: str, queries: int, random: np.random.Generator) -> Column:
    """Seconds at which queries come [queries]: a Poisson process, or one whose rate a Markov chain of two states sets.

    A waiting time of so many mean gaps is spent at whatever rate there is: the process is Poisson in the integral of
    its rate.
    """
    work = np.cumsum(random.exponential(size=queries))  # the integral of the rate, at each arrival
    rate = A_WINDOW / SECONDS
    if kind == "poisson":
        return work / rate
    ends, integral = [0.0], [0.0]
    state = int(random.random() < CALM[1] / (BURST[1] + CALM[1]))
    while integral[-1] < work[-1]:
        multiple, mean = (BURST, CALM)[state]
        lasts = float(random.exponential(mean))
        ends.append(ends[-1] + lasts)
        integral.append(integral[-1] + lasts * multiple * rate)
        state = 1 - state
    return np.interp(work, integral, ends)


def summarised(done: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Means over streams with intervals, and how much more `clear` answers, paired by stream."""
    rows = [
        {"arrivals": row["arrivals"], "budget": row["budget"], "seed": row["seed"], "policy": name, "cap": row["cap"],
         **told}
        for row in done for name, told in row["rules"].items()
    ]  # fmt: skip
    found = []
    for (kind, budget), group in pd.DataFrame(rows).groupby(["arrivals", "budget"], sort=False):
        values = group.pivot_table(index="seed", columns="policy", values="accuracy", sort=False)
        for name in values.columns:
            own, apart = values[name].to_numpy(), (values["clear"] - values[name]).to_numpy()
            mine = group[group["policy"] == name]
            (low, high), (less, more) = bootstrap(own), bootstrap(apart)
            share = bootstrap(mine["share_of_optimum"].to_numpy(dtype=float))
            found.append({
                "arrivals": kind, "budget": budget, "policy": name, "streams": len(own), "accuracy": own.mean(),
                "low": low, "high": high, "clear_minus": apart.mean(), "clear_minus_low": less,
                "clear_minus_high": more, "share_of_optimum": mine["share_of_optimum"].mean(), "share_low": share[0],
                "share_high": share[1],
                **{column: mine[column].mean() for column in ("spent_mean", "spent_max", "expired", "never")},
                "accuracy_of_funded": mine["accuracy_of_funded"].mean(),
                "cap": mine["cap"].iloc[0] if name == "fixed-cap" else np.nan,
            })  # fmt: skip
    return pd.DataFrame(found)


def _pool(problems: Sequence[Problem], predictor: FittedRidge) -> Pool:
    told = predictor.predict([p.text for p in problems])
    tokens, correct = np.array([p.tokens[0] for p in problems]), np.array([p.correct[0] for p in problems])
    return Pool(told.threshold, told.chance, tokens.astype(np.int64), correct)


if __name__ == "__main__":
    typer.run(main)
