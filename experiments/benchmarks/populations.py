"""Rules against populations on STS-B: efficiency, revenue and Spearman of what is left of the network.

    python -m walras.experiments.benchmarks.populations --data GLUE_FOLDER

MiniLM, `fisher` values of 128 training sentences, taken anew in each of 12 rounds at the final budget with re-entry, so
that learners learn from the network's own answers; no repair. Means over the last third of the rounds, by the true
values of the round. Finished runs are not played again. Written to populations.csv: a row a run.
"""

from itertools import product
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from walras.errors import WalrasError
from walras.experiments.benchmarks.stsb import played
from walras.experiments.config import RunConfig
from walras.experiments.folder import read_result, write_whole
from walras.experiments.run import Stage
from walras.experiments.screen import fail, output

RULES = ("ShadowPrice", "PayAsBidAuction", "VCG", "PostedPrice", "AscendingClock")
POPULATIONS = (
    "truthful", "truthful=0.5,shading=0.5", "zero-intelligence", "best-response", "hedge",
    "truthful=0.5,regret-matching=0.5",
)  # fmt: skip
BUDGETS = (0.6, 0.4)
ROUNDS, LAST = 12, 4


def main(
    data: Annotated[str, typer.Option(help="Folder in the GLUE layout.")],
    seeds: Annotated[int, typer.Option(help="Seeds of the calibration and of the agents.", min=1)] = 3,
    out: Annotated[Path, typer.Option(help="Folder of the runs and of populations.csv.")] = Path("runs/populations"),
) -> None:
    """Play what has not been played, print the means, write all rows."""
    stage: Stage | None = None
    rows: list[dict[str, Any]] = []
    try:
        for seed, budget, rule, population in product(range(seeds), BUDGETS, RULES, POPULATIONS):
            config = RunConfig(
                task="stsb", data=data, mechanism=rule, strategy=population, budget=budget, rounds=ROUNDS,
                schedule="constant", reentry=True, sentences=128, seed=seed,
            )  # fmt: skip
            place = out / f"{rule}-{population}-{budget:g}-{seed}"
            stage = played(config, place, stage)
            rows.append(row(config, place))
            output().print(f"{place.name}: {rows[-1]['spearman']:.4f}, efficiency {rows[-1]['efficiency']:.3f}")
    except WalrasError as error:
        fail(error)
    table = pd.DataFrame(rows)
    write_whole(out / "populations.csv", table.to_csv(index=False, float_format="%.6g"))
    shown = table.groupby(["rule", "population", "budget"], sort=False)[["efficiency", "revenue", "spearman"]]
    output().print(shown.agg(["mean", "std"]).to_string(float_format=lambda x: f"{x:.4f}"))


def row(config: RunConfig, place: Path) -> dict[str, Any]:
    """A finished run in a line; revenue is a share of the welfare."""
    rounds, found = pd.read_parquet(place / "rounds.parquet").tail(LAST), read_result(place)
    return {
        "rule": config.mechanism, "population": config.strategy, "budget": config.budget, "seed": config.seed,
        "efficiency": rounds["efficiency"].mean(), "revenue": (rounds["revenue"] / rounds["welfare"]).mean(),
        "regret": rounds["regret"].iloc[-1] / rounds["welfare"].mean(), "used": found["used"],
        "volatility": rounds["volatility"].iloc[-1], "spearman": found["metric"]["value"],
        "dense": found["metric"]["dense"], "seconds": found["seconds"],
    }  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
