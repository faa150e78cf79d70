"""`make demo`: the three rules at two budgets, beside two valuations that know nothing of the task."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from walras.experiments.cli.main import start
from walras.experiments.cli.screen import output, progress_bar
from walras.experiments.outcome import Outcome
from walras.experiments.pipeline import run_plan
from walras.experiments.plan import Plan
from walras.experiments.progress import Progress
from walras.experiments.reports.sentence import in_one_sentence
from walras.experiments.reports.tables import result_card, result_table
from walras.experiments.spec import RunSpec
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.store.run_folder import RUN
from walras.experiments.subjects.subject import Subject

BUDGETS = (0.75, 0.5)
WHY = (
    "Why the rules agree: values are additive (what a unit is worth does not depend on who else stays) and there is "
    "one resource. The best allocation then keeps units in order of value per MAC until the budget is spent, and "
    "every correct rule finds that order: by a price, by sorting sealed bids, or at a price posted at that level; only "
    "ShadowPrice goes on with those that still fit where one does not. "
    "(PostedPrice says `rationed`, for at exactly that price the first unit left out would buy as well.)"
)


def main(
    out: Annotated[Path, typer.Option(help="Folder for the run folders.")] = Path("runs/demo"),
    sentences: Annotated[int, typer.Option(help="Sentences with which units are valued.", min=2)] = 512,
) -> None:
    """Run the demonstration and print its tables."""
    demonstrate(output(), out, sentences)


def demonstrate(console: Console, out: Path, sentences: int) -> None:
    """All cells, the tables, and what they show."""
    with progress_bar() as progress:
        subject = Subject.load(RunSpec().subject, progress)
        play = partial(_cell, subject, out, sentences, progress)
        once: dict[float, list[Outcome]] = {}
        for budget in BUDGETS:
            shadow = play("ShadowPrice", "fisher", budget, 1)
            posted = f"PostedPrice:price={shadow.clearing.price.item()!r}"
            once[budget] = [shadow, *(play(rule, "fisher", budget, 1) for rule in ("UniformPriceAuction", posted))]
        controls = [play("ShadowPrice", valuation, b, 1) for valuation in ("magnitude", "random") for b in BUDGETS]
        rounds = [play("ShadowPrice", "fisher", b, 4) for b in BUDGETS]
        tax = 2 * once[0.5][0].clearing.price.item()
        taxed = play(f"PostedPrice:price={tax!r}", "fisher", 0.5, 1)
        best = play(None, None, 0.5, None)

    print_table(console, "One clearing, all-MiniLM-L6-v2, sentence similarity", [*once[0.75], *once[0.5], *controls])
    for budget, outcomes in once.items():
        console.print(f"Budget {budget:g}: {agreement(outcomes)}")
    console.print(WHY)
    print_table(console, "Where they differ: a tax of twice the price", [once[0.5][0], taxed])
    console.print(
        f"A posted price cannot know demand: at {tax:.3g} it sells {taxed.summary.used:.1%} of the dense compute, "
        f"where {0.5:.0%} was for sale. ShadowPrice finds the price at which the supply is sold."
    )
    print_table(console, "Four rounds, the budget shrinking, values taken anew in each", rounds)
    console.print("The default, recipe walras: values that know what a repair can make good, and a repair.")
    console.print(result_card(best.summary.as_dict()))
    console.print(f"Reports: {out}/*/report.html. Agents of the last run: walras trace {best.folder}")
    console.print(in_one_sentence(best.summary.as_dict()))


def _cell(
    subject: Subject, out: Path, sentences: int, progress: Progress, mechanism: str | None, valuation: str | None,
    budget: float, rounds: int | None,
) -> Outcome:  # fmt: skip
    """One run on the subject: plain, with a rule, values and rounds, or by the default recipe where they are None."""
    plain = {"recipe": "none", "mechanism": mechanism, "valuation": valuation, "rounds": rounds} if mechanism else {}
    spec = RunSpec.parse({"budget": budget, "sentences": sentences, **plain})
    name = "-".join(str(part).replace(":", "-") for part in (*plain.values(), budget)) if plain else "walras"
    return run_plan(Plan.from_spec(spec), subject, ResultFolder(out / name, RUN, spec, overwrite=True), progress)


def print_table(console: Console, title: str, outcomes: Sequence[Outcome]) -> None:
    """The table of some runs."""
    console.print(result_table([o.summary.as_dict() for o in outcomes], title))


def agreement(outcomes: Sequence[Outcome]) -> str:
    """On how many units the rules of one budget decide differently, in words."""
    first = outcomes[0]
    words = []
    for other in outcomes[1:]:
        differ = int((first.gates != other.gates).sum())
        same = "the same units" if differ == 0 else f"all but {differ} of {len(first.units)} units like"
        words.append(
            f"{other.summary.mechanism.partition(':')[0]} keeps {same} {'as ' if differ == 0 else ''}ShadowPrice"
        )
    return "; ".join(words) + "."


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    start(lambda: app)
