"""Many coalitions of heads in one forward pass, against one a pass; and what a Shapley value costs.

    python -m walras.experiments.benchmarks.speed.coalitions --data GLUE_FOLDER

MiniLM on STS-B pairs, 72 heads; losses of random coalitions with few and with many sentences, in turn, minimum of so
many. Written to coalitions.csv: seconds a coalition either way, and their ratio. Then Shapley values of the 72 heads
from `--permutations` orders, with the coalitions that takes and the largest standard error.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer

from walras.agents import Calibration, Shapley
from walras.agents.calibration.coalitions import ROWS, coalition_losses
from walras.experiments.cli.screen import output
from walras.experiments.tasks import TASKS
from walras.files.writing import write_whole
from walras.models import inventory, macs
from walras.models.loading import DEFAULT_MODEL, load
from walras.models.resources.timing import interleaved

SENTENCES = (2, 8, 32, 128)
COALITIONS = 64


def main(
    data: Annotated[str, typer.Option(help="Folder in the GLUE layout.")],
    model: Annotated[str, typer.Option(help="Folder or hub id.")] = DEFAULT_MODEL,
    repeats: Annotated[int, typer.Option(help="Timed passes of each kind.", min=1)] = 3,
    permutations: Annotated[int, typer.Option(help="Orders of the Shapley value; 0: none.", min=0)] = 4,
    out: Annotated[Path, typer.Option(help="Folder of coalitions.csv.")] = Path("runs"),
) -> None:
    """Time, print, write."""
    task = TASKS.make("stsb", data=data)
    network, tokenizer = load(model, task.head, device="cpu")
    units = inventory(network)
    share = macs(network, units, 128).share
    heads = torch.from_numpy(units.kind == "head")
    gates = torch.ones(COALITIONS, len(units))
    gates[:, heads] = torch.randint(
        0, 2, (COALITIONS, int(heads.sum())), generator=torch.Generator().manual_seed(0)
    ).float()
    rows = []
    for sentences in SENTENCES:
        batches = task.calibration(tokenizer, sentences=sentences, seed=0, batch_size=32, length=128)
        calibration = Calibration(network, units, task.objective(network, False), batches, share)
        ways = [partial(coalition_losses, calibration, gates, most) for most in (1, ROWS)]
        alone, together = interleaved(ways, repeats)
        rows.append(
            {
                "sentences": sentences, "one a pass [ms]": 1e3 * alone / COALITIONS,
                "many a pass [ms]": 1e3 * together / COALITIONS, "ratio": alone / together,
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    write_whole(out / "coalitions.csv", table.to_csv(index=False, float_format="%.4g"))
    output().print(table.to_string(index=False))
    if permutations:
        found = Shapley(permutations, antithetic=False).estimate(
            calibration, torch.ones(len(units)), torch.Generator().manual_seed(0), heads
        )
        output().print(
            f"{permutations} orders of 72 heads: {found.coalitions:,} coalitions, largest value "
            f"{found.value.max():.4g}, largest standard error {found.error.max():.4g}; "
            f"1,000 orders are {2 + 1000 * 71:,} coalitions"
        )


if __name__ == "__main__":
    typer.run(main)
