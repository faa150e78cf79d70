"""How many word problems a decoder solves whose tokens buy what they are computed with, beside the dense one.

    walras sparsify --model FOLDER --data TEXTS --length 256 --budget 0.5 --out runs/half
    python -m walras.experiments.benchmarks.token_markets.problems --model FOLDER --sparse runs/half --data gsm8k

The first problems of GSM8K's test split, greedily, each network with the same prompts; an answer counts where the last
number of the text is the solution. Prompts are computed densely (`--prefill dense`), every token that is generated is a
market. Answers are kept in `problems.jsonl`: what is there is not generated again. The table has the share that is
right with Wilson's 95 % interval, and the difference from the dense network on the same problems with a bootstrap's.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from scipy.stats import binomtest

from walras.experiments.benchmarks.gsm8k import first_problems, last_number
from walras.experiments.benchmarks.kept_rows import read_rows, write_rows
from walras.experiments.benchmarks.reasoning.reasoning import bootstrap
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.progress import Progress
from walras.experiments.store.place import check_place
from walras.files.writing import write_whole
from walras.models.export.reloading import load_model
from walras.models.loading import load

DENSE = "dense"
ASK = "{}\nPlease reason step by step, and put your final answer within \\boxed{{}}."
Row = Mapping[str, Any]


def main(
    model: Annotated[str, typer.Option(help="Folder of the dense decoder.")],
    sparse: Annotated[list[Path], typer.Option(help="Folders of walras sparsify; several.")],
    data: Annotated[Path, typer.Option(help="Folder of GSM8K, with test.jsonl in it.")],
    out: Annotated[Path, typer.Option(help="Folder of problems.jsonl and problems.csv.")] = Path("runs/problems"),
    problems: Annotated[int, typer.Option(help="How many of the first problems.", min=2)] = 60,
    tokens: Annotated[int, typer.Option(help="New tokens per answer at most.", min=1)] = 320,
    batch: Annotated[int, typer.Option(help="Answers generated at once.", min=1)] = 20,
) -> None:
    """Generate what is not there yet, print the table, write it."""
    file = out / "problems.jsonl"
    with ended_in_words():
        check_place(out)
        asked = first_problems(data / "test.jsonl", problems)
        done: list[Row] = [*read_rows(file)]
        with progress_bar() as progress:
            for rows in _answers(model, sparse, asked, done, tokens, batch, progress):
                done += rows
                write_rows(file, done)
    table = summary(done)
    write_whole(out / "problems.csv", table.to_csv(index=False, float_format="%.4g"))
    output().print(table.to_string(index=False))


def _answers(
    model: str, sparse: Sequence[Path], asked: Sequence[tuple[str, float]], done: Sequence[Row], tokens: int,
    batch: int, progress: Progress,
) -> Iterator[list[Row]]:  # fmt: skip
    """Batches of answers of one network after the other."""
    known = {(row["form"], row["problem"]) for row in done}
    forms = [DENSE, *(folder.name for folder in sparse)]
    step = progress.add_task("Answers", total=len(forms) * len(asked) - len(known))
    dense, tokenizer = load(model, "causal")
    tokenizer.padding_side = "left"
    for form, folder in zip(forms, [None, *sparse], strict=True):
        left = [i for i in range(len(asked)) if (form, i) not in known]
        network = dense if folder is None or not left else load_model(folder)
        for first in range(0, len(left), batch):
            places = left[first : first + batch]
            texts, used = _generate(network, tokenizer, [asked[i][0] for i in places], tokens)
            yield [
                {"form": form, "problem": i, "right": last_number(text) == asked[i][1], "tokens": count, "text": text}
                for i, text, count in zip(places, texts, used, strict=True)
            ]
            progress.update(step, advance=len(places), description=f"Answers, {form}")


@torch.no_grad()
def _generate(network: Any, tokenizer: Any, questions: Sequence[str], tokens: int) -> tuple[list[str], list[int]]:
    """Texts, and how many tokens each took."""
    asked = [[{"role": "user", "content": ASK.format(question)}] for question in questions]
    prompts = [tokenizer.apply_chat_template(one, tokenize=False, add_generation_prompt=True) for one in asked]
    given = tokenizer(prompts, return_tensors="pt", padding=True).to(next(network.parameters()).device)
    found = network.generate(**given, do_sample=False, max_new_tokens=tokens, pad_token_id=tokenizer.pad_token_id)
    new = found[:, given["input_ids"].shape[1] :]
    used = [int((row != tokenizer.pad_token_id).sum()) for row in new]
    return tokenizer.batch_decode(new, skip_special_tokens=True), used


def summary(rows: Sequence[Row]) -> pd.DataFrame:
    """A row per network."""
    right = pd.DataFrame(rows).pivot_table(index="problem", columns="form", values="right", sort=False).astype(float)
    used = pd.DataFrame(rows).groupby("form")["tokens"].mean()
    found = []
    for form in right:
        own = right[form].dropna()
        interval = binomtest(int(own.sum()), len(own)).proportion_ci(method="wilson")
        row = {"form": form, "problems": len(own), "right": own.mean(), "low": interval.low, "high": interval.high}
        less = (right[form] - right[DENSE]).dropna()
        low, high = (np.nan, np.nan) if form == DENSE else bootstrap(less.to_numpy())
        found.append({**row, "less_dense": less.mean(), "less_low": low, "less_high": high, "tokens": used[str(form)]})
    return pd.DataFrame(found)


if __name__ == "__main__":
    typer.run(main)
