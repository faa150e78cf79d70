"""What `PriceCallback` costs a step of transformers' Trainer: trainings with it against trainings without, in turn.

    python -P -m walras.experiments.benchmarks.speed.callback_overhead --task sst2 --data GLUE_FOLDER

Short trainings of the same network (MiniLM by default) on the same rows follow one another, several times; a price is
paid in all of their steps. Told is the median step of each kind, in which no market clears, and the median ratio to
the step without a price that has the same batch; two kinds are without a price (A/A). The learning rate is 0, so that
all trainings find the same network.
"""

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any, final

import pandas as pd
import typer
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from walras.experiments.cli.screen import output, progress_bar
from walras.experiments.tasks import TASKS
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.price.callback import PriceCallback
from walras.files.writing import write_whole
from walras.models.loading import load

PRICED = ("cleared", "shadow-price", "dual-ascent", "tax")


@final
class StepTimes(TrainerCallback):
    """Seconds of every step, from the first batch to the optimizer's step and what callbacks do after it."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._started = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """The clock starts."""
        del args, state, control, given
        self._started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """The clock stops; this callback comes after that of the price."""
        del args, state, control, given
        self.seconds.append(time.perf_counter() - self._started)


def main(
    task: Annotated[str, typer.Option(help="Task by name.")] = "sst2",
    data: Annotated[str | None, typer.Option(help="Folder in the GLUE layout.")] = None,
    model: Annotated[str, typer.Option(help="Network by name or folder.")] = TrainConfig().subject.model,
    steps: Annotated[int, typer.Option(help="Steps of a training.")] = 12,
    repeats: Annotated[int, typer.Option(help="Trainings of each kind.")] = 3,
    out: Annotated[Path, typer.Option(help="Folder of callback_overhead.csv.")] = Path("runs"),
) -> None:
    """Print and write the ratios."""
    found = TASKS.make(task, data=data)
    network, tokenizer = load(model, found.head, device="cpu", classes=found.labels())
    found = found.prepared(tokenizer, 128)
    kinds: list[dict[str, Any] | None] = [None, None, *({"pricing": name} for name in PRICED[:3])]
    kinds.append({"pricing": "tax", "price": 0.1})
    names, seconds = ("plain", "plain again", *PRICED), {place: list[float]() for place in range(len(kinds))}
    with progress_bar() as bar:
        step = bar.add_task("Trainings", total=repeats * len(kinds))
        for _ in range(repeats):
            for place, settings in enumerate(kinds):
                seconds[place] += _times(copy.deepcopy(network), tokenizer, found, settings, steps)
                bar.update(step, advance=1, description=names[place])
    rows = [
        {"step": name, "seconds": median(own), "ratio": median(a / b for a, b in zip(own, seconds[0], strict=True))}
        for name, own in zip(names, seconds.values(), strict=True)
    ]
    table = pd.DataFrame(rows)
    write_whole(out / "callback_overhead.csv", table.to_csv(index=False, float_format="%.4g"))
    output().print(table.to_string(index=False))


def _times(network: nn.Module, tokenizer: Any, task: Any, settings: dict[str, Any] | None, steps: int) -> list[float]:
    """Seconds of the steps of one training, but the first."""
    clock = StepTimes()
    priced = [] if settings is None else [PriceCallback(priced=1.0, rounds=2, sentences=16, repair="none", **settings)]
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=steps, per_device_train_batch_size=32, learning_rate=0.0, use_cpu=True, report_to=[],
            save_strategy="no", logging_strategy="no", disable_tqdm=True, remove_unused_columns=False,
        )  # fmt: skip
        rows = list(_some(task, steps * 32))
        training = Trainer(
            network, arguments, train_dataset=rows, callbacks=[*priced, clock],
            data_collator=lambda rows: dict(task.batch(tokenizer, rows, 128)),
        )  # fmt: skip
        training.train()
    return clock.seconds[1:-1]  # in the last one units settle


def _some(task: Any, count: int) -> Iterator[Any]:
    """So many training rows."""
    rows = task.pool()
    return (rows[i % len(rows)] for i in range(count))


if __name__ == "__main__":
    typer.run(main)
