"""The course of a training run: when it is saved, what every step is remembered by, and when it ends early."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
from transformers.trainer_callback import ExportableState, TrainerCallback

from walras.experiments.training.loop.batches import Batches
from walras.experiments.training.loop.task_loss import ActivationTax
from walras.experiments.training.loop.task_trainer import HELD_OUT, TaskTrainer
from walras.experiments.training.price.callback import PriceCallback


@final
class Course(TrainerCallback, ExportableState):
    """Keeps a row for every step in the Trainer's log, and decides on checkpoints and on the end.

    Checkpoints keep the state of a tax on activations; that of a price which units pay is kept by its own callback.

    Args:
        batches: training rows, which are told of epochs.
        priced: the callback by which units pay, where they do; it comes before this one.
        tax: on activations, where there is one.
        save_every: steps between checkpoints; None where the run has no folder, and only the best weights are kept.
        patience: evaluations without gain after which training ends.
        begin: is called before the first step.
        tell: is told how many steps are done, and how it goes.
    """

    def __init__(
        self,
        batches: Batches,
        priced: PriceCallback | None,
        tax: ActivationTax | None,
        save_every: int | None,
        patience: int,
        begin: Callable[[], object],
        tell: Callable[[int, str], object],
    ) -> None:
        self._batches, self._priced, self._tax = batches, priced, tax
        self._save_every, self._patience, self._begin, self._tell = save_every, patience, begin, tell
        self._trainer: TaskTrainer | None = None
        self._started = 0.0
        self._paid: dict[str, float] = {}

    def serve(self, trainer: TaskTrainer) -> None:
        """Tell of the Trainer whose course this is."""
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Nothing can be wrong any more; and the best weights so far are where this run's folder is now."""
        del control, given
        self._begin()
        saved = ((state.stateful_callbacks or {}).get(type(self).__name__) or {}).get("attributes", {}).get("tax")
        if self._tax is not None and saved is not None:
            self._tax.pricing = self._tax.pricing.restored(saved)
        if state.best_global_step and self._trainer is not None:
            best = Path(self._trainer._get_output_dir(None)) / f"checkpoint-{state.best_global_step}"
            state.best_model_checkpoint = str(best) if best.is_dir() else None

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Another order of the rows."""
        del args, control, given
        self._batches.set_epoch(state.global_step // len(self._batches))

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """The clock starts."""
        del args, state, control, given
        self._started, self._paid = time.perf_counter(), {}

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """What was paid in this step, before gates and price move on."""
        del args, state, control, given
        price = None if self._priced is None else self._priced.price
        if price is not None and not price.settled:
            told = price.figures()
            self._paid = {"cost": told["share_of_macs"], "price": told["price"]}

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """A row for the step; whether to write a checkpoint."""
        del args, given
        assert self._trainer is not None
        loss = self._trainer.step_loss
        assert loss is not None
        if self._tax is not None and loss.paid:
            self._tax.go_on(state.global_step - 1, loss.paid["cost"])
        row = {"loss": loss.own, **self._paid, **loss.paid, "seconds": time.perf_counter() - self._started}
        self._trainer.log(row)
        every, ends = self._save_every, control.should_training_stop
        due = every is not None and (ends or state.global_step % every == 0)
        control.should_save = control.should_evaluate or due
        share = f", {row['cost']:.1%} used at price {row['price']:.3g}" if "cost" in row else ""
        self._tell(state.global_step, f"Step {state.global_step}: loss {row['loss']:.3g}{share}")

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """The end, where so many evaluations have brought nothing. The log tells, so that it outlives interruptions."""
        del args, given
        values = [row[HELD_OUT] for row in state.log_history if HELD_OUT in row]
        if len(values) - 1 - int(np.argmax(values)) >= self._patience:
            control.should_training_stop = True

    def state(self) -> dict[str, Any]:
        """What checkpoints keep; called by the Trainer when it writes one."""
        return {"args": {}, "attributes": {"tax": None if self._tax is None else self._tax.pricing.state()}}
