"""`walras learn`: a threshold predictor from traces of answers."""

import json
from pathlib import Path
from typing import Annotated

import typer

from walras.errors import InputError
from walras.experiments.cli.screen import interrupted, output, progress_bar


def learn(
    traces: Annotated[Path, typer.Argument(help='Json lines: {"text", "samples": [{"tokens", "correct"}]}.')],
    out: Annotated[Path, typer.Option(help="Folder of the predictor.")],
    predictor: Annotated[
        str, typer.Option(help="ridge, or encoder: a fine-tuned transformer; with :key=value.")
    ] = "ridge",
    cap: Annotated[float, typer.Option(help="No more tokens than this are predicted.")] = 2048.0,
    quantile: Annotated[float, typer.Option(help="Of correct answers' lengths: the threshold.", min=0, max=1)] = 0.1,
    model: Annotated[str | None, typer.Option(help="Encoder to fine-tune. [default: all-MiniLM-L6-v2]")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the problems, for the encoder.", min=1)] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the split and of the training.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the held-out figures as JSON.")] = False,
) -> None:
    """Learn thresholds from answers that were given; a fifth of the problems is held out and measured on."""
    import numpy as np

    from walras.experiments.queries.predictors import (
        PREDICTORS,
        check_place,
        evaluate,
        figures,
        read_problems,
        save_predictor,
        threshold_label,
    )

    check_place(out)
    learner = PREDICTORS.make(predictor, model=model, epochs=epochs, seed=seed)
    problems = read_problems(traces)
    threshold = np.array([threshold_label(problem, quantile) for problem in problems])
    known = np.flatnonzero(~np.isnan(threshold))
    if len(known) < 20:
        raise InputError(f"{len(known)} problems of {len(problems)} have a known threshold; valid: 20 or more")
    order = np.random.default_rng(seed).permutation(known)
    held, train = order[: len(order) // 5], order[len(order) // 5 :]
    try:
        with progress_bar(not as_json) as progress:
            bar = progress.add_task("Learning", total=None)
            texts = [problem.text for problem in problems]
            fitted = learner.fit(
                [texts[i] for i in train], threshold[train], cap,
                lambda step, steps: progress.update(bar, completed=step, total=steps),
            )  # fmt: skip
            fit = evaluate(fitted.predict([texts[i] for i in held]), threshold[held])
    except KeyboardInterrupt:
        interrupted("nothing was written")
    save_predictor(fitted, out, fit)
    if as_json:
        print(json.dumps(figures(fit), indent=2))
        return
    console = output()
    console.print(f"{out}: {learner.name}, {len(train)} problems; held out {fit.problems}, of them {fit.solved} solved")
    console.print(f"R2 {fit.r2:.3f}, Spearman {fit.spearman:.3f}, needed no more than predicted: {fit.covered:.0%}")
    console.print(f"Chance of an answer: Brier score {fit.brier:.3f}, of their share alone {fit.brier_constant:.3f}")
    for predicted, true in fit.calibration:
        console.print(f"  predicted {predicted:7.0f} tokens, truly {true:7.0f} (medians of a fifth)")
