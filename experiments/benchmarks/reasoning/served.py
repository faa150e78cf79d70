r"""Accuracy at equal total tokens, end to end: a gateway before a real server of a real model.

    transformers serve MODEL --host 127.0.0.1 --port 8123 --device cpu --dtype float32 --continuous-batching \
        --cb-block-size 32 --cb-num-blocks 1024 --cb-max-batch-tokens 256
    python -m walras.experiments.benchmarks.reasoning.served --model MODEL --data FOLDER --out FOLDER

Small blocks let the server keep the beginnings of prompts that it has seen: each is asked by every cell.

The first test problems of GSM8K, mixed with trivial questions, are sent to a gateway in one order, a few at once. All
policies have the same budget for all requests together: one window of as many requests as there are (`--window`), so
that neither the speed of the machine nor a window's end decides what is granted. Decoding is greedy. An answer is right
if its last number is; `finished` are right answers that were not cut off.

First training questions are put to the server itself; from their answers come the predictor of thresholds, three
budgets and the tokens of `fixed-cap` (`served_plan`). Then every cell, a policy at a budget, begins with a gateway that
knows nothing but the predictor.

Written: served_training.jsonl and served_cells.jsonl (a line per answer and per cell; what is there is not asked
again), served_plan.json, served_predictor, and served.csv, a row per cell.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import pandas as pd
import typer

from walras.experiments.benchmarks.kept_rows import read_rows, write_rows
from walras.experiments.benchmarks.reasoning.reasoning import bootstrap
from walras.experiments.benchmarks.reasoning.served_asking import Answer, Asker, gateway
from walras.experiments.benchmarks.reasoning.served_plan import Plan, lay_down, predictor_of, read_plan
from walras.experiments.benchmarks.reasoning.served_questions import GSM8K, TRIVIAL, Question, mixed
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.files.locks import one_writer
from walras.files.writing import write_whole

Step = Callable[[str], object]


def main(
    model: Annotated[str, typer.Option(help="Model that the server is asked for: a folder, or its name.")],
    data: Annotated[Path, typer.Option(help="Folder of GSM8K: train.jsonl and test.jsonl.")],
    out: Annotated[Path, typer.Option(help="Folder of the answers and the table.")] = Path("runs/served"),
    upstream: Annotated[str, typer.Option(help="Address of the server's API.")] = "http://127.0.0.1:8123/v1",
    problems: Annotated[int, typer.Option(help="Test problems of GSM8K.", min=1)] = 60,
    trivial: Annotated[int, typer.Option(help="Trivial test questions.", min=1)] = 30,
    training: Annotated[int, typer.Option(help="Training problems; half as many trivial questions.", min=10)] = 60,
    at_once: Annotated[int, typer.Option(help="Requests of a cell that wait for an answer at once.", min=1)] = 4,
    cells: Annotated[int, typer.Option(help="Cells that are measured at once.", min=1)] = 4,
    seed: Annotated[int, typer.Option(help="Of the trivial questions and of the order.", min=0)] = 0,
) -> None:
    """Ask what has not been asked yet; write the table."""
    with ended_in_words(), one_writer(out):
        server = Asker(upstream, model)
        test = mixed(data, "test", problems, trivial, seed)
        plan = read_plan(out, model, (len(test), trivial), seed)
        if plan is None:
            questions = mixed(data, "train", training, training // 2, seed)
            answers = asyncio.run(train(server, questions, at_once * cells, out / "served_training.jsonl"))
            plan = lay_down(questions, answers, (len(test), trivial), model, seed, out)
        told = f"{plan.mean:.1f} tokens per training answer; budgets {plan.budgets}; fixed caps {plan.caps}"
        output(stderr=True).print(told)
        done = asyncio.run(Measurement(server, test, plan, at_once, out).cells(cells))
    table = summarised(done, plan)
    write_whole(out / "served.csv", str(table.to_csv(index=False, float_format="%.5g")))
    output().print(
        table.pivot_table(index="policy", columns="budget", values="accuracy", sort=False).round(3).to_string()
    )


async def train(server: Asker, questions: Sequence[Question], at_once: int, file: Path) -> list[Answer]:
    """Answers to training questions; those that the file holds are not asked for again."""
    known = {row["id"]: Answer(**row) for row in read_rows(file)}
    wanted = [q for q in questions if q.id not in known]

    with progress_bar() as progress:
        bar = progress.add_task("Training answers", total=len(wanted))

        def keep(answer: Answer) -> None:
            known[answer.id] = answer
            write_rows(file, [one.plain() for one in known.values()])
            progress.update(bar, advance=1, description=f"Training answers: {answer.id}, {answer.used} tokens")

        await server.ask(wanted, at_once, keep)
    return [known[q.id] for q in questions]


@final
@dataclass(frozen=True)
class Measurement:
    """All cells of a plan.

    Attributes:
        server: before which the gateways stand.
        questions: of the test, in their order.
        plan: what was laid down.
        at_once: requests of a cell that wait for an answer at once.
        folder: of the cells, and of the predictor.
    """

    server: Asker
    questions: Sequence[Question]
    plan: Plan
    at_once: int
    folder: Path

    async def cells(self, at_once: int) -> list[dict[str, Any]]:
        """Every cell, so many at once; those that are written are not measured again."""
        file = self.folder / "served_cells.jsonl"
        done = read_rows(file)
        measured = {(row["policy"], row["budget"]) for row in done}
        wanted = [cell for cell in self.plan.cells() if cell not in measured]
        waiting = iter(wanted)

        with progress_bar() as progress:
            bar = progress.add_task("Requests", total=len(wanted) * len(self.questions))

            def step(told: str) -> None:
                progress.update(bar, advance=1, description=told)

            async def one_after_another() -> None:
                for policy, budget in waiting:
                    done.append(await self._cell(policy, budget, step))
                    write_rows(file, done)

            await asyncio.gather(*(one_after_another() for _ in range(at_once)))
        return done

    async def _cell(self, policy: str, budget: int, step: Step) -> dict[str, Any]:
        """What a policy makes of the questions at a budget."""
        server, began, name = self.server, time.monotonic(), self.plan.policy(policy, budget)
        with gateway(server.url, budget, len(self.questions), name, predictor_of(self.folder)) as url:
            asker = Asker(url, server.model, server.limit)
            answers = await asker.ask(
                self.questions, self.at_once, lambda answer: step(f"{name}, {budget} tokens: {answer.id}")
            )
        told = {"policy": policy, "budget": budget, "seconds": round(time.monotonic() - began, 1)}
        return {**told, "answers": [answer.plain() for answer in answers]}


def summarised(done: Sequence[Mapping[str, Any]], plan: Plan) -> pd.DataFrame:
    """A row per cell: figures with bootstrap 95 % intervals over requests; what `clear` answers more is paired."""
    found = []
    told = {(row["policy"], row["budget"]): row for row in done}
    for policy, budget in plan.cells():
        if (policy, budget) not in told:
            continue
        answers = [Answer(**one) for one in told[policy, budget]["answers"]]
        row = {"policy": policy, "budget": budget, "requests": len(answers), "answered": sum(a.funded for a in answers)}
        right = np.array([float(a.right) for a in answers])
        row |= {"accuracy": right.mean(), **dict(zip(("low", "high"), bootstrap(right), strict=True))}
        base = told.get(("clear", budget))
        if base is not None:
            apart = np.array([float(one["right"]) for one in base["answers"]]) - right
            less, more = bootstrap(apart)
            row |= {"clear_minus": apart.mean(), "clear_minus_low": less, "clear_minus_high": more}
        row["finished"] = np.mean([a.right and not a.cut for a in answers])
        row |= {kind: np.mean([a.right for a in answers if a.kind == kind]) for kind in (GSM8K, TRIVIAL)}
        row |= {
            "granted": sum(a.granted for a in answers), "used": sum(a.used for a in answers),
            "unfunded": np.mean([not a.funded for a in answers]), "cut": np.mean([a.cut for a in answers]),
            "cap": plan.caps[plan.budgets.index(budget)] if policy == "fixed-cap" else np.nan,
            "seconds": told[policy, budget]["seconds"],
        }  # fmt: skip
        found.append(row)
    return pd.DataFrame(found)


if __name__ == "__main__":
    typer.run(main)
