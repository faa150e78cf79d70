"""A Trainer of transformers on one of our tasks: its rows, loss and metric on held-out rows, and sealed checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, TrainerCallback
from transformers.trainer_utils import rotate_checkpoints
from transformers.utils import SAFE_WEIGHTS_NAME

from walras.errors import TrainingError
from walras.experiments.training.loop.batches import Batches
from walras.experiments.training.loop.checkpoints import check_unchanged, newest_checkpoint, seal
from walras.experiments.training.loop.task_loss import StepLoss, TaskLoss
from walras.files.contents import reading
from walras.files.folders import remove
from walras.files.writing import writing
from walras.models.objective import Batch

HELD_OUT = "eval_value"
"""The figure on held-out rows, more being better, as the Trainer's log has it."""
CHECKPOINTS = 3
"""That are kept: the newest, the one before, and the best."""


@final
class TaskTrainer(Trainer):
    """Trains a network on a task's rows by the task's loss.

    Args:
        model: the network, which is trained in place.
        arguments: of the Trainer.
        batches: training rows.
        loss: of a batch.
        evaluate: the figure of a network on held-out rows, more being better.
        place: folder of the checkpoints.
        callbacks: of the Trainer.

    Attributes:
        step_loss: of the last batch.
    """

    def __init__(
        self, model: nn.Module, arguments: TrainingArguments, batches: Batches, loss: TaskLoss,
        evaluate: Callable[[nn.Module], float], place: Path, callbacks: list[TrainerCallback],
    ) -> None:  # fmt: skip
        self._batches, self._loss, self._figure, self._place = batches, loss, evaluate, place
        self.step_loss: StepLoss | None = None
        rows: Any = batches.rows
        super().__init__(model, arguments, train_dataset=rows, eval_dataset=rows, callbacks=callbacks)
        self.model_accepts_loss_kwargs = False  # the loss is ours, a mean over the batch
        self.remove_callback(PrinterCallback)

    @property
    def network(self) -> nn.Module:
        """What is trained, without what several processes wrap it in."""
        assert isinstance(self.model, nn.Module)
        return self.model

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Rows in the order of the batches; every process gets its part of each."""
        rows: Any = self._batches.rows
        loader = DataLoader(rows, batch_sampler=self._batches, collate_fn=self._batches.made)
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a step's batch; a price adds its own."""
        del return_outputs, num_items_in_batch
        batch: Batch = inputs
        self.step_loss = self._loss(model, batch, self.state.global_step)
        return self.step_loss.total

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Gradients of a batch.

        Raises:
            TrainingError: a loss that is not finite; no weight has been changed by it.
        """
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not bool(loss.isfinite()):
            if self.args.should_save:
                remove(self.checkpoint_of(self.state.global_step))  # of these very weights
            raise TrainingError(self._lost(f"the loss is {float(loss)}"))
        return loss

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The figure on held-out rows; minus infinity where it is no number, as of predictions that are all alike.

        Raises:
            TrainingError: a weight is no number.
        """
        del eval_dataset, ignore_keys, metric_key_prefix
        self._check_weights()
        value = self._figure(self.network.eval())
        found = {HELD_OUT: -np.inf if np.isnan(value) else float(value)}
        self.log(found)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        return found

    def _run_epoch(self, *args: Any, **given: Any) -> None:
        """An epoch; none where training had ended already when it was interrupted."""
        epoch: Any = super()._run_epoch
        if not self.control.should_training_stop:
            epoch(*args, **given)

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted here: for layers of several sizes the Trainer's formula is wrong."""
        del inputs
        return 0

    def _get_output_dir(self, trial: Any) -> str:
        del trial
        return str(self._place)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint, and at last what says that it is complete.

        Raises:
            TrainingError: a weight is no number.
            InputError: it cannot be written; what there is of it is removed when training goes on.
        """
        self._check_weights()
        place = self.checkpoint_of(self.state.global_step)
        with writing(place, RuntimeError, SafetensorError, kept="checkpoints before it are as they were"):
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()  # each has written the state of its random numbers
            if self.args.should_save:
                seal(place)
                rotate_checkpoints(str(self._place), CHECKPOINTS, self.state.best_model_checkpoint)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Weights by the names that they have in the network: those of a hub's file may be others."""
        del state_dict
        place = Path(output_dir or self._place)
        place.mkdir(parents=True, exist_ok=True)
        save_model(self.network, str(place / SAFE_WEIGHTS_NAME))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """The reverse.

        Raises:
            InputError: weights of another network.
        """
        file = Path(resume_from_checkpoint) / SAFE_WEIGHTS_NAME
        with reading("checkpoint", file, RuntimeError):
            load_model(model or self.network, str(file))

    def _load_best_model(self) -> None:
        """The weights that were the best on held-out rows.

        Raises:
            InputError: they are gone, or were changed.
        """
        check_unchanged(Path(str(self.state.best_model_checkpoint)))
        self._load_from_checkpoint(str(self.state.best_model_checkpoint))

    def checkpoint_of(self, step: int) -> Path:
        """The checkpoint after so many steps."""
        return self._place / f"checkpoint-{step}"

    def _check_weights(self) -> None:
        if not all(bool(p.isfinite().all()) for p in self.network.parameters()):
            raise TrainingError(self._lost("a weight is no number"))

    def _lost(self, what: str) -> str:
        last = newest_checkpoint(self._place)
        left = "no checkpoint had been written" if last is None else f"the last good checkpoint is {last}"
        return f"{what} at step {self.state.global_step} of {self.state.max_steps}; {left}. Try a smaller --rate"
