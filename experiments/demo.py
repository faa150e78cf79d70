"""`make demo`: the three rules at two budgets, beside two valuations that know nothing of the task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from walras.errors import WalrasError
from walras.experiments.cli.screen import fail, output, progress_bar
from walras.experiments.config import RunConfig
from walras.experiments.reports.tables import result_table
from walras.experiments.result import Result
from walras.experiments.run import Plan, Stage, run_plan
from walras.experiments.store.run_folder import RunFolder

BUDGETS = (0.75, 0.5)
WHY = (
    "Why the rules agree: values are additive (what a unit is worth does not depend on who else stays) and there is "
    "one resource. The best allocation then keeps units in order of value per MAC until the budget is spent, and "
    "every correct rule finds that order: by a price, by sorting sealed bids, or at a price posted at that level. "
    "(PostedPrice says `rationed`, for at exactly that price the first unit left out would buy as well.)"
)


def main(
    out: Annotated[Path, typer.Option(help="Folder for the run folders.")] = Path("runs/demo"),
    sentences: Annotated[int, typer.Option(help="Sentences with which units are valued.", min=2)] = 512,
) -> None:
    """Run the demonstration and print its tables."""
    try:
        demonstrate(output(), out, sentences)
    except WalrasError as error:
        fail(error)


def demonstrate(console: Console, out: Path, sentences: int) -> None:
    """All cells, the tables, and what they show."""
    with progress_bar() as progress:
        stage = Stage.of(Plan.of(RunConfig()), progress)

        def cell(mechanism: str, valuation: str, budget: float, rounds: int, price: float | None = None) -> Result:
            config = RunConfig(
                mechanism=mechanism, valuation=valuation, budget=budget, rounds=rounds, price=price, sentences=sentences
            )
            taxed = "" if price is None else f"-at-{price:.3g}"
            folder = RunFolder(out / f"{mechanism}{taxed}-{valuation}-{budget:g}-{rounds}", overwrite=True)
            return run_plan(Plan.of(config), stage, folder, progress)

        once: dict[float, list[Result]] = {}
        for budget in BUDGETS:
            shadow = cell("ShadowPrice", "fisher", budget, 1)
            auction = cell("UniformPriceAuction", "fisher", budget, 1)
            posted = cell("PostedPrice", "fisher", budget, 1, shadow.clearing.price.item())
            once[budget] = [shadow, auction, posted]
        controls = [cell("ShadowPrice", valuation, b, 1) for valuation in ("magnitude", "random") for b in BUDGETS]
        rounds = [cell("ShadowPrice", "fisher", b, 4) for b in BUDGETS]
        tax = 2 * once[0.5][0].clearing.price.item()
        taxed = cell("PostedPrice", "fisher", 0.5, 1, tax)

    print_table(console, "One clearing, all-MiniLM-L6-v2, sentence similarity", [*once[0.75], *once[0.5], *controls])
    for budget, results in once.items():
        console.print(f"Budget {budget:g}: {agreement(results)}")
    console.print(WHY)
    print_table(console, "Where they differ: a tax of twice the price", [once[0.5][0], taxed])
    console.print(
        f"A posted price cannot know demand: at {tax:.3g} it sells {taxed.summary['used']:.1%} of the dense compute, "
        f"where {0.5:.0%} was for sale. ShadowPrice finds the price at which the supply is sold."
    )
    print_table(console, "Four rounds, the budget shrinking, values taken anew in each", rounds)
    best = rounds[-1].folder
    console.print(f"Reports: {out}/*/report.html. Agents of the last run: walras trace {best}")


def print_table(console: Console, title: str, results: Sequence[Result]) -> None:
    """The table of some runs."""
    console.print(result_table([r.summary for r in results], title))


def agreement(results: Sequence[Result]) -> str:
    """On how many units the rules of one budget decide differently, in words."""
    first = results[0]
    words = []
    for other in results[1:]:
        differ = int((first.gates != other.gates).sum())
        same = "the same units" if differ == 0 else f"all but {differ} of {len(first.units)} units like"
        words.append(f"{other.summary['mechanism']} keeps {same} {'as ' if differ == 0 else ''}ShadowPrice")
    return "; ".join(words) + "."


if __name__ == "__main__":
    typer.run(main)
