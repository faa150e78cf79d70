"""Token budgets replayed on real answers: accuracy against budget for every allocator and traffic mix.

    python -m walras.experiments.benchmarks.reasoning.reasoning --traces FOLDER

A query counts as correct where its answer was correct and no longer than its grant. The predictor is trained on GSM8K
answers only (a fifth held out for its figures) and allocates on other sets: easy queries come from SVAMP, medium ones
from AMC 2023 and Minerva, hard ones from OlympiadBench and AIME 2024, in four mixes of 500. Fixed headroom and the
fixed posted price are chosen without the streams: the one on GSM8K's held-out fifth, the other as the price that
cleared an independent stream of the same mix. Written: reasoning.csv (a row a mix, budget, allocator: mean over streams
with a bootstrap 95 % interval, and the paired differences and ratios to uniform), reasoning_sensitivity.csv,
reasoning_predictor.csv and three pictures.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from walras.errors import WalrasError
from walras.experiments.benchmarks.reasoning import plots
from walras.experiments.benchmarks.reasoning.traces import SETS, greedy, tokenizer
from walras.experiments.cli.screen import fail, output, progress_bar
from walras.experiments.queries.predictors import FittedRidge, Problem, Ridge, evaluate, threshold_label
from walras.files.writing import write_whole
from walras.market.queries import (
    Allocation,
    Allocator,
    Clear,
    Clock,
    Exact,
    Oracle,
    PlainClear,
    Posted,
    Proportional,
    Queries,
    ShortestFirst,
    Uniform,
)

Column = NDArray[np.float64]
LEVELS = {"easy": ("svamp",), "medium": ("amc23", "minerva_math"), "hard": ("olympiadbench", "aime24")}
MIXES = {
    "balanced": (1 / 3, 1 / 3, 1 / 3), "easy-heavy": (0.7, 0.2, 0.1), "hard-heavy": (0.1, 0.2, 0.7),
    "u-shaped": (0.45, 0.1, 0.45),
}  # fmt: skip
BUDGETS = (25, 50, 75, 100, 150, 200, 300, 400, 600, 900, 1400)  # tokens a query, on average
CAP = 2048.0
_RESAMPLES = 2000


@final
@dataclass(frozen=True, eq=False)
class Stream:
    """Queries as they come: predictions, and what is only known afterwards."""

    threshold: Column  # predicted
    chance: Column  # predicted
    need: Column  # tokens of the correct answer; inf where there is none
    level: NDArray[np.int64]  # 0 easy, 1 medium, 2 hard

    def queries(self) -> Queries:
        """What an allocator may see."""
        return Queries(self.threshold, weight=self.chance)

    def accuracy(self, found: Allocation) -> float:
        """Share of queries whose answer was right within its grant."""
        return float((self.need <= found.tokens).mean())


def main(
    traces: Annotated[Path, typer.Option(help="Folder reasoning-gym-eval of the traces.")],
    out: Annotated[Path, typer.Option(help="Folder of the tables and pictures.")] = Path("runs/reasoning"),
    streams: Annotated[int, typer.Option(help="Streams a mix.", min=2)] = 20,
    queries: Annotated[int, typer.Option(help="Queries a stream.", min=1)] = 500,
) -> None:
    """Replay all streams; write the tables and pictures."""
    try:
        count = tokenizer()
        problems = {name: greedy(traces, name, count) for name in SETS}
    except WalrasError as error:
        fail(error)
    predictor, headroom, fits = train(problems["gsm8k"])
    for name in SETS[1:]:
        fits[name] = evaluate(predictor.predict([p.text for p in problems[name]]), _labels(problems[name])).__dict__
    write_whole(out / "reasoning_predictor.csv", _csv(pd.DataFrame(fits).T.rename_axis("set").reset_index()))
    pools = [_pool(problems, sets, predictor, i) for i, sets in enumerate(LEVELS.values())]
    rows: list[dict[str, Any]] = []
    with progress_bar() as progress:
        bar = progress.add_task("Replaying", total=len(MIXES) * streams)
        for mix, shares in MIXES.items():
            other = draw(pools, shares, queries, np.random.default_rng(10_000))
            for seed in range(streams):
                stream = draw(pools, shares, queries, np.random.default_rng(seed))
                for budget in BUDGETS:
                    rows += replay(
                        stream, other, budget * queries, headroom, {"mix": mix, "budget": budget, "seed": seed}
                    )
                progress.update(bar, advance=1, description=f"Replaying {mix}")
    runs = pd.DataFrame(rows)
    table = summarised(runs)
    write_whole(out / "reasoning.csv", _csv(table))
    some = [draw(pools, MIXES["balanced"], queries, np.random.default_rng(seed)) for seed in range(streams)]
    write_whole(out / "reasoning_sensitivity.csv", _csv(pd.DataFrame(sensitivity(some))))
    write_whole(out / "reasoning_accuracy.png", plots.accuracy(table))
    write_whole(out / "reasoning_price.png", plots.price(runs))
    write_whole(out / "reasoning_funded.png", plots.funded(funded_by_need(some)))
    shown = table.pivot_table(index=["mix", "allocator"], columns="budget", values="accuracy", sort=False)
    output().print(shown.round(3).to_string())


def train(problems: list[Problem]) -> tuple[FittedRidge, float, dict[str, Any]]:
    """The predictor, the fixed headroom, and the predictor's figures on the held-out fifth.

    Fixed headroom: what four fifths of the held-out solved problems needed beyond their prediction, 1 at least.
    """
    threshold, order = _labels(problems), np.random.default_rng(0).permutation(len(problems))
    held, kept = order[: len(order) // 5], order[len(order) // 5 :]
    predictor = Ridge().fit([problems[i].text for i in kept], threshold[kept], CAP)
    predicted = predictor.predict([problems[i].text for i in held])
    beyond = (threshold[held] - predicted.threshold)[np.isfinite(threshold[held])]
    return (
        predictor,
        max(float(np.quantile(beyond, 0.8)), 1.0),
        {"gsm8k": evaluate(predicted, threshold[held]).__dict__},
    )


def draw(pools: list[Stream], shares: tuple[float, ...], queries: int, random: np.random.Generator) -> Stream:
    """Queries of a mix, drawn with replacement and shuffled."""
    numbers = random.multinomial(queries, shares)
    parts = [(pool, random.integers(len(pool.need), size=n)) for pool, n in zip(pools, numbers, strict=True)]
    order = random.permutation(queries)
    columns = ("threshold", "chance", "need", "level")
    return Stream(*(np.concatenate([getattr(pool, name)[i] for pool, i in parts])[order] for name in columns))


def allocators(stream: Stream, headroom: float, price: float) -> dict[str, tuple[Allocator, Queries]]:
    """Every rule by its name in the tables, with what it sees; `exact` has one shape for all, so no chances."""
    seen, plain = stream.queries(), Queries(stream.threshold)
    rules: dict[str, tuple[Allocator, Queries]] = {
        rule.name: (rule(), seen) for rule in (Clear, PlainClear, Clock, Uniform, Proportional)
    }
    return rules | {
        "clear, no chances": (Clear(), plain), "exact": (Exact(), plain), "posted": (Posted(price=price), seen),
        "shortest-first": (ShortestFirst(headroom=headroom), plain), "oracle": (Oracle(need=stream.need), seen),
    }  # fmt: skip


def replay(stream: Stream, other: Stream, budget: float, headroom: float, key: Mapping[str, Any]) -> Iterator[Any]:
    """A row an allocator."""
    posted = Clear()(other.queries(), budget).price or 0.0
    for name, (rule, seen) in allocators(stream, headroom, posted).items():
        found = rule(seen, budget)
        yield {**key, "allocator": name, "accuracy": stream.accuracy(found), "granted": found.spent / len(stream.need),
               "used": float(np.minimum(found.tokens, stream.need).mean()), "price": found.price,
               "regime": found.regime.value}  # fmt: skip


def summarised(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over streams with bootstrap intervals, and differences and ratios to uniform, paired by stream."""
    found = []
    for (mix, budget), group in runs.groupby(["mix", "budget"], sort=False):
        values = group.pivot_table(index="seed", columns="allocator", values="accuracy", sort=False)
        base = values["uniform"].to_numpy()
        for name in values.columns:
            own = values[name].to_numpy()
            low, high = bootstrap(own)
            apart = bootstrap(own - base)
            ratio = own.mean() / base.mean() if base.mean() > 0 else np.nan
            mean = group[group["allocator"] == name][["granted", "used"]].mean()
            found.append({
                "mix": mix, "budget": budget, "allocator": name, "streams": len(own), "accuracy": own.mean(),
                "low": low, "high": high, "minus_uniform": (own - base).mean(), "minus_low": apart[0],
                "minus_high": apart[1],
                "ratio_to_uniform": ratio, "granted": mean["granted"], "used": mean["used"],
            })  # fmt: skip
    return pd.DataFrame(found)


def bootstrap(values: Column) -> tuple[float, float]:
    """95 % interval of a mean over streams (percentiles)."""
    random = np.random.default_rng(0)
    means = values[random.integers(len(values), size=(_RESAMPLES, len(values)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def sensitivity(streams: list[Stream]) -> Iterator[dict[str, Any]]:
    """Accuracy of CLEAR on balanced streams as one thing changes at a time."""
    for budget in (100, 200, 400, 900):
        for sigma in (0.0, 0.1, 0.3, 0.6, 1.0):
            yield _point("noise of true thresholds", sigma, budget, [_noisy(s, sigma) for s in streams], Clear())
        yield _point("predictor", "ridge on gsm8k", budget, streams, Clear())
        for headroom in (25.0, 50.0, 100.0, 200.0, 400.0):
            yield _point("1 / beta", headroom, budget, streams, Clear(headroom=headroom))
        yield _point("1 / beta", "adaptive", budget, streams, Clear())
        for shape in ("surge", "quadratic", "triangular", "gamma"):
            yield _point("utility", shape, budget, streams, Clear(utility=shape))
        for alpha in (1e-3, 1.0, 1e3):
            scaled = [replace(s, chance=s.chance * alpha) for s in streams]
            yield _point("alpha", alpha, budget, scaled, Clear())


def funded_by_need(streams: list[Stream]) -> pd.DataFrame:
    """For CLEAR on balanced streams: tokens truly needed and whether funded, at three budgets."""
    rows = []
    for budget in (100, 200, 400):
        for stream in streams:
            found = Clear()(stream.queries(), budget * len(stream.need))
            rows.append(pd.DataFrame({"budget": budget, "need": stream.need, "level": stream.level,
                                      "funded": found.tokens > 0}))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def _point(what: str, value: Any, budget: int, streams: list[Stream], rule: Allocator) -> dict[str, Any]:
    values = np.array([s.accuracy(rule(s.queries(), budget * len(s.need))) for s in streams])
    low, high = bootstrap(values)
    return {"what": what, "value": value, "budget": budget, "accuracy": values.mean(), "low": low, "high": high}


def _noisy(stream: Stream, sigma: float) -> Stream:
    """True thresholds times lognormal noise, insolvent ones known as such: a perfect predictor at 0."""
    noise = np.exp(sigma * np.random.default_rng(1).standard_normal(len(stream.need)))
    known = stream.need * noise
    return replace(stream, threshold=known, chance=np.ones(len(known)))


def _pool(problems: Mapping[str, list[Problem]], sets: tuple[str, ...], predictor: FittedRidge, level: int) -> Stream:
    rows = [p for name in sets for p in problems[name]]
    told = predictor.predict([p.text for p in rows])
    return Stream(told.threshold, told.chance, _labels(rows), np.full(len(rows), level))


def _labels(problems: list[Problem]) -> Column:
    return np.array([threshold_label(p) for p in problems])


def _csv(table: pd.DataFrame) -> str:
    return str(table.to_csv(index=False, float_format="%.5g"))


if __name__ == "__main__":
    typer.run(main)
