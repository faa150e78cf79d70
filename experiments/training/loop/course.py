"""The course of a training run: when it is saved, what every step is remembered by, and when it ends early."""

import time
from typing import Any, final

import numpy as np
from transformers.trainer_callback import ExportableState, TrainerCallback

from walras.errors import InputError
from walras.experiments.training.loop.run import Run
from walras.experiments.training.loop.task_trainer import HELD_OUT, TaskTrainer
from walras.experiments.training.price.callback import PriceCallback


@final
class Course(TrainerCallback, ExportableState):
    """Keeps a row for every step in the Trainer's log, and decides on checkpoints and on the end.

    Checkpoints keep the state of a tax on activations; that of a price which units pay is kept by its own callback.

    Args:
        run: what is trained, and by what.
        priced: the callback by which units pay, where they do; it comes before this one.
    """

    def __init__(self, run: Run, priced: PriceCallback | None) -> None:
        self._run, self._priced, self._tax = run, priced, run.loss.tax
        self._trainer: TaskTrainer | None = None
        self._started = 0.0
        self._paid: dict[str, float] = {}

    def serve(self, trainer: TaskTrainer) -> None:
        """Tell of the Trainer whose course this is."""
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Nothing can be wrong any more, once the checkpoint is found to be of this run, and the best one to be there.

        Raises:
            InputError: it is not.
        """
        del args, given
        saved = ((state.stateful_callbacks or {}).get(type(self).__name__) or {}).get("attributes", {})
        if saved.get("begun_with", self._run.fingerprint) != self._run.fingerprint:
            raise InputError(
                "the checkpoint is of a training on other rows, or of another network by this name; --overwrite begins "
                "the run anew"
            )
        if self._tax is not None and saved.get("tax") is not None:
            self._tax.pricing = self._tax.pricing.restored(saved["tax"])
        if state.best_global_step:
            assert self._trainer is not None
            state.best_model_checkpoint = str(self._trainer.checkpoint_of(state.best_global_step))
        if self._ended(state):
            control.should_training_stop = True
        self._run.begin()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Another order of the rows."""
        del args, control, given
        self._run.batches.set_epoch(state.global_step // len(self._run.batches))

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
        every, ends = self._run.config.rows.save_every, control.should_training_stop
        due = self._run.folder is not None and (ends or state.global_step % every == 0)
        control.should_save = control.should_evaluate or due
        share = f", {row['cost']:.1%} used at price {row['price']:.3g}" if "cost" in row else ""
        self._run.tell(state.global_step, f"Step {state.global_step}: loss {row['loss']:.3g}{share}")

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """The end, where so many evaluations have brought nothing."""
        del args, given
        if self._ended(state):
            control.should_training_stop = True

    def _ended(self, state: Any) -> bool:
        """Whether patience has ended by the Trainer's log, which outlives interruptions."""
        values = [row[HELD_OUT] for row in state.log_history if HELD_OUT in row]
        return bool(values) and len(values) - 1 - int(np.argmax(values)) >= self._run.config.rows.patience

    def state(self) -> dict[str, Any]:
        """What checkpoints keep; called by the Trainer when it writes one."""
        tax = None if self._tax is None else self._tax.pricing.state()
        return {"args": {}, "attributes": {"tax": tax, "begun_with": self._run.fingerprint}}
