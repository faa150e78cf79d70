"""Beyond the paper, on 50 answers a problem: curves per query, clearing again while answers are generated.

    python -m walras.experiments.benchmarks.reasoning.samples --traces FOLDER

Problems of AMC 2023 and AIME 2024, Llama 3B, answers cut off at 2,048 of its tokens: an unsolved one is censored, so
that curves end there and are lower bounds. 25 random answers a problem make its curve and its threshold; one of the
other 25 is what happens. Mean accuracy over draws with a 95 % bootstrap interval, by budget and rule: uniform; CLEAR on
surges (threshold a low quantile, weight the share that is right); CLEAR on curves; and curves cleared again in 4 and 8
rounds. `used` are tokens truly generated: re-clearing takes tokens back from answers that end early.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from walras.errors import WalrasError
from walras.experiments.benchmarks.reasoning.reasoning import bootstrap
from walras.experiments.benchmarks.reasoning.traces import SAMPLED, sampled, tokenizer
from walras.experiments.cli.screen import fail, output, progress_bar
from walras.files.writing import write_whole
from walras.market.queries import Clear, Queries
from walras.market.queries.curves import Samples, allocate_by_curves
from walras.market.queries.reclearing import reclear

BUDGETS = (25, 50, 100, 200, 400, 800)
ROUNDS = (4, 8)
POINTS = 40


def main(
    traces: Annotated[Path, typer.Option(help="Folder reasoning-gym-eval of the traces.")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("runs/reasoning_samples.csv"),
    draws: Annotated[int, typer.Option(help="Splits into curves and outcomes.", min=2)] = 40,
) -> None:
    """Replay and write the table."""
    try:
        count = tokenizer()
        problems = [p for name in SAMPLED for p in sampled(traces, name, count)]
    except WalrasError as error:
        fail(error)
    tokens = np.array([p.tokens for p in problems], dtype=np.float64)
    correct = np.array([p.correct for p in problems])
    rows = []
    with progress_bar() as progress:
        bar = progress.add_task("Replaying", total=draws)
        for seed in range(draws):
            rows += replay(tokens, correct, np.random.default_rng(seed))
            progress.update(bar, completed=seed + 1, description=f"Split {seed + 1} replayed")
    table = summarised(pd.DataFrame(rows))
    write_whole(out, str(table.to_csv(index=False, float_format="%.5g")))
    output().print(table.to_string(index=False))


def replay(
    tokens: NDArray[np.float64], correct: NDArray[np.bool_], random: np.random.Generator
) -> list[dict[str, Any]]:
    """Accuracy and tokens used a query, for every budget and rule, of one split."""
    n, s = tokens.shape
    order = np.argsort(random.random((n, s)), axis=1)
    tokens, correct = np.take_along_axis(tokens, order, 1), np.take_along_axis(correct, order, 1)
    known = Samples(tokens[:, : s // 2], correct[:, : s // 2])
    need, right = tokens[:, s // 2].astype(np.int64), correct[:, s // 2]
    grid = np.unique(np.quantile(tokens, np.linspace(0, 1, POINTS + 1)[1:]).round())
    share = known.correct.mean(1)
    lengths = np.where(known.correct, known.tokens, np.nan)
    threshold = np.full(n, np.inf)
    threshold[share > 0] = np.nanquantile(lengths[share > 0], 0.1, axis=1)
    queries = Queries(threshold, weight=np.maximum(share, 0.01))

    def generate(who: NDArray[np.int64], grant: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        took = np.minimum(need[who] - spent[who], grant)
        spent[who] += took
        return took, spent[who] >= need[who]

    rows = []
    for budget in BUDGETS:
        grants = {
            "uniform": np.full(n, budget),
            "clear, surges": Clear()(queries, budget * n).tokens,
            "clear, curves": allocate_by_curves(known.curves(grid), grid, budget * n)[0],
        }
        for name, given in grants.items():
            rows.append((budget, name, (right & (need <= given)).mean(), np.minimum(given, need).mean()))
        for rounds in ROUNDS:
            spent = np.zeros(n, dtype=np.int64)
            found = reclear(known, grid, budget * n, rounds, generate)
            rows.append((budget, f"curves, {rounds} rounds", (right & found.done).mean(), found.used.mean()))
    return [dict(zip(("budget", "rule", "accuracy", "used"), row, strict=True)) for row in rows]


def summarised(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over splits and their intervals."""
    found = []
    for (budget, rule), group in runs.groupby(["budget", "rule"], sort=False):
        values = group["accuracy"].to_numpy()
        low, high = bootstrap(values)
        row = {
            "budget": budget,
            "rule": rule,
            "draws": len(values),
            "accuracy": values.mean(),
            "low": low,
            "high": high,
        }
        found.append({**row, "used": group["used"].mean()})
    return pd.DataFrame(found)


if __name__ == "__main__":
    typer.run(main)
