"""Training in `walras train`: a Trainer of transformers with a price in it, and what it comes to."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import pandas as pd
from torch import Tensor, nn
from transformers import TrainerCallback, TrainingArguments

from walras.errors import InputError
from walras.experiments.settings.fields import leaf_values, leaves
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.loop.checkpoints import usable_checkpoint
from walras.experiments.training.loop.course import Course
from walras.experiments.training.loop.run import Run, Valued
from walras.experiments.training.loop.task_loss import TaskLoss
from walras.experiments.training.loop.task_trainer import HELD_OUT, TaskTrainer
from walras.experiments.training.price.callback import PriceCallback
from walras.experiments.training.price.distilled import Distilled
from walras.experiments.training.price.network import own_random_state
from walras.experiments.training.price.price import Price
from walras.experiments.training.price.settings import PriceSettings


@final
@dataclass(frozen=True)
class Trained:
    """What training came to.

    Attributes:
        model: the network with the weights that were the best on held-out rows.
        price: that was paid by units; None where none was.
        held_out: the figure of these weights, more being better.
        steps: a row for each: loss, seconds, expected cost and price.
        evaluations: a row for each, more being better.
    """

    model: nn.Module
    price: Price | None
    held_out: float
    steps: pd.DataFrame
    evaluations: pd.DataFrame

    @property
    def keep(self) -> Tensor | None:
        """Units that stay, bool [n], where they paid."""
        return None if self.price is None else self.price.keep


def fit(run: Run) -> Trained:
    """Train to the end, or until there is no gain any more.

    Raises:
        InputError: a checkpoint that was changed, or is of another network; a budget that cannot be reached; ...
        TrainingError: the loss, or a weight, is no number; the last good checkpoint stays.
    """
    with ExitStack() as stack:
        scratch = stack.enter_context(TemporaryDirectory())
        stack.enter_context(own_random_state(run.config.seed))
        arguments = arguments_of(run.config, run.steps, len(run.batches), scratch, run.folder is None)
        if run.batches.batch_size % arguments.world_size:
            raise InputError(
                f"batches of {run.batches.batch_size} rows do not divide among {arguments.world_size} processes"
            )
        place = Path(scratch) if run.folder is None else run.folder
        checkpoint = usable_checkpoint(place) if run.resume else None
        priced = None if run.valued is None else callback_of(run.config, run.steps, run.valued)
        loss = run.loss if run.valued is not None else distilling(run, stack)
        course = Course(run, priced)
        callbacks: list[TrainerCallback] = [course] if priced is None else [priced, course]
        stack.enter_context(kept_cache(run.model))
        trainer = TaskTrainer(run.model, arguments, run.batches, loss, run.evaluate, place, callbacks)
        course.serve(trainer)
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        model = trainer.network.eval()
        if vars(model).pop("_original_forward", None) is not None:  # accelerate's, of mixed precision
            del model.forward
        trainer.accelerator.free_memory()
        rows = trainer.state.log_history
    told = ("loss", "seconds", "cost", "price")
    steps = [
        {"step": float(row["step"] - 1), **{name: row[name] for name in told if name in row}}
        for row in rows
        if "loss" in row
    ]
    evaluations = [{"step": float(row["step"]), "value": row[HELD_OUT]} for row in rows if HELD_OUT in row]
    return Trained(
        model, None if priced is None else priced.price, max(row["value"] for row in evaluations),
        pd.DataFrame(steps), pd.DataFrame(evaluations),
    )  # fmt: skip


def distilling(run: Run, stack: ExitStack) -> TaskLoss:
    """The loss with what is distilled, where no price does that; the stack ends it."""
    own = run.config.optimiser
    if not (own.distil or own.distil_states):
        return run.loss
    watched = Distilled(run.model, run.dense, own.distil, own.distil_states)
    stack.callback(watched.close)
    return replace(run.loss, distilled=watched)


@contextmanager
def kept_cache(model: nn.Module) -> Iterator[None]:
    """What a network says of its cache is what it said before, after a Trainer, which says that there is none."""
    config: Any = getattr(model, "config", None)
    before = getattr(config, "use_cache", None)
    try:
        yield
    finally:
        if config is not None and before is not None:
            config.use_cache = before
        elif config is not None:
            vars(config).pop("use_cache", None)


def priced_steps(config: TrainConfig, steps: int) -> int:
    """The first steps, in which a price is paid: one at least."""
    return max(round(config.economy.priced * steps), 1)


def callback_of(config: TrainConfig, steps: int, valued: Valued) -> PriceCallback:
    """The price in the training, with the settings of the command."""
    own = leaf_values(config)
    settings: dict[str, Any] = {name: own[name] for name in leaves(PriceSettings) if name in own}
    settings["priced"] = max(config.economy.priced, 1 / steps)
    return PriceCallback(batches=valued.batches, objective=valued.objective, loss=valued.loss, **settings)


def arguments_of(config: TrainConfig, steps: int, epoch: int, folder: str, best_only: bool) -> TrainingArguments:
    """The settings of the command as those of the Trainer; there are `steps`, and `epoch` of them in an epoch.

    The network is evaluated twice an epoch, but not before units have settled.
    """
    own, every = config.optimiser, max(epoch // 2, 1)
    priced = config.economy.pricing_name != "none"
    return TrainingArguments(
        folder,
        num_train_epochs=own.epochs, learning_rate=own.rate, warmup_steps=round(own.warmup * steps),
        weight_decay=own.decay, bf16=own.precision == "bf16", fp16=own.precision == "fp16",
        use_cpu=config.subject.device == "cpu", seed=config.seed, data_seed=config.seed,
        per_device_train_batch_size=config.subject.batch_size, accelerator_config={"split_batches": True},
        eval_strategy="steps", eval_steps=every, eval_delay=priced_steps(config, steps) if priced else 0,
        save_strategy="steps", save_steps=every, save_only_model=best_only,
        load_best_model_at_end=True, metric_for_best_model=HELD_OUT, greater_is_better=True,
        logging_strategy="no", report_to="none", disable_tqdm=True, remove_unused_columns=False,
        dataloader_pin_memory=False,
    )  # fmt: skip
