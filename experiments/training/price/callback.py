"""A price in `transformers.Trainer`, and in the trainers that descend from it."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, final

from torch import nn
from torch.utils.hooks import RemovableHandle
from transformers.trainer_callback import ExportableState, TrainerCallback

from walras.errors import InputError
from walras.experiments.subjects.objectives import Loss, as_objective
from walras.experiments.training.price.given import Given, checked_loss
from walras.experiments.training.price.host import (
    calibration,
    check_host,
    host_of,
    tell_new_models,
    with_penalty,
    wrap_anew,
)
from walras.experiments.training.price.network import check_cut, network_of
from walras.experiments.training.price.price import Price
from walras.experiments.training.price.priced_network import units_of, untouched
from walras.experiments.training.price.rewind import check_rewinds, rewind
from walras.experiments.training.price.settings import PriceSettings
from walras.models.export.in_place import FitsSmaller
from walras.models.objective import Batch, Objective

_NAME = "PriceCallback"


@final
class PriceCallback(TrainerCallback, ExportableState):
    """Makes a training economical: `Trainer(..., callbacks=[walras.PriceCallback(budget=0.5)])`.

    For the first `priced` share of the steps the units of the network pay for compute; then those that lost are cut
    out of the Trainer's model, and training goes on to the end with the smaller one, its optimizer from its moments,
    its scheduler from its step. `save_model` writes a folder that reloads. Price, share of MACs, units left and
    surplus are logged as the loss is. Checkpoints hold the price's state, from which `resume_from_checkpoint` goes on.
    No evaluation counts as the best before units have settled.

    Memory holds a copy of the network as it was before training.

    Args:
        trainer: whose training it is; found by itself.
        batches: on which units are valued, as the network takes them; drawn from the training rows by default.
        loss: a function of the network and a batch, or the number that it begins with, which scales prices; the
            Trainer's own on these rows by default.
        objective: by which units are valued; by default how far outputs move, or the network's own loss.
        settings: budget, pricing, price, mechanism, valuation, repair, ...: those of `walras train`, and `cut`.

    Attributes:
        price: the price, once training has begun.

    Raises:
        InputError: bad settings; once a Trainer has it, whatever it cannot be used with.
    """

    def __init__(
        self,
        *,
        trainer: Any = None,
        batches: Sequence[Batch] | None = None,
        loss: Loss | float | None = None,
        objective: Objective | Loss | None = None,
        **settings: Any,
    ) -> None:
        self._given = settings
        self._data = None if batches is None else Given.of(batches, loss, objective)
        self._loss = checked_loss(loss)
        self._objective = None if objective is None else as_objective(objective, "objective")
        if not (trainer is None or hasattr(trainer, "callback_handler")):
            raise InputError(f"trainer is {trainer!r}; it must be the Trainer that gets this callback")
        self._settings = PriceSettings.parse(settings)
        self._settings.plan()  # names are resolved, or refused, before anything is loaded
        self._trainer = trainer
        self._dense: nn.Module | None = None
        self._fits: RemovableHandle | None = None
        self._context = ExitStack()
        self._settled_at: int | None = None  # the step after which units had settled
        self.price: Price | None = None

    def on_init_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Keep the network as it is before training; also those that `model_init` makes later."""
        del args, state, control
        if self._dense is not None:
            raise InputError("PriceCallback belongs to another Trainer already; make one for each Trainer")
        self._trainer = self._trainer or host_of(self)
        check_host(self._trainer, PriceCallback)
        self._begin(given["model"])
        if getattr(self._trainer, "model_init", None) is not None:
            tell_new_models(self._trainer, self._begin)

    def _begin(self, model: nn.Module) -> None:
        """Keep the network in a model as it is, and let it take weights of a checkpoint from after units settled."""
        network = network_of(model)
        if self._settings.cut:
            check_cut(network)
        self._dense, self.price = untouched(network), None
        if self._settings.cut:
            fits = FitsSmaller(units_of(self._dense, self._settings))
            self._fits = network.register_load_state_dict_pre_hook(fits)

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Gates on the network, or where the checkpoint left them."""
        if self._dense is None:
            if state.global_step:
                raise InputError(
                    "PriceCallback has not seen the network before a checkpoint was loaded; give it to the Trainer as "
                    "it is made, callbacks=[...], and leave restore_callback_states_from_checkpoint off"
                )
            self.on_init_end(args, state, control, **given)
        assert self._dense is not None
        if self.price is not None:  # of a training before this one
            self.price.release()
        self._end()
        kept = ((state.stateful_callbacks or {}).get(_NAME) or {}).get("attributes", {})
        saved, self._settled_at = kept.get("saved"), kept.get("settled_at")
        steps = state.max_steps - (state.global_step if saved is None else 0)
        found = self._data or self._drawn(given["train_dataloader"])
        self.price = Price(
            given["model"], given["optimizer"], steps=steps, batches=found.batches,
            loss=found.loss, objective=found.objective, dense=self._dense, saved=saved, **self._given,
        )  # fmt: skip
        self._context.enter_context(with_penalty(self._trainer, self.price.penalty))
        if self._settings.rewind:
            check_rewinds(given["lr_scheduler"])
            if self._settled_at is not None:
                rewind(given["lr_scheduler"], self._settled_at, state.max_steps)

    def _drawn(self, data: Any) -> Given:
        """Batches of training rows, and their loss, where none were given."""
        batches, loss = calibration(self._trainer, data, self._settings.market.sentences)
        return Given(batches, loss if self._loss is None else self._loss, self._objective)

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Until units have settled, no evaluation is the best so far: networks of their size come later."""
        del args, control, given
        if self.price is not None and not self.price.settled:
            state.best_metric = state.best_model_checkpoint = state.best_global_step = None

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Gates and price follow; once units settle, the network is smaller."""
        del args
        price, trainer = self.price, self._trainer
        assert price is not None
        assert trainer is not None
        self._log(control)
        scaler, before = trainer.accelerator.scaler, price.settled
        price.step(1.0 if scaler is None else float(scaler.get_scale()))
        if price.settled and not before:
            wrap_anew(trainer)
            self._settled_at = state.global_step
            if self._settings.rewind:
                rewind(given["lr_scheduler"], self._settled_at, state.max_steps)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Where the loss is logged after epochs, so is the price."""
        del args, state, given
        self._log(control)

    def _log(self, control: Any) -> None:
        if self.price is not None and control.should_log:
            self._trainer.log(self.price.figures())
            control.should_log = True  # a log clears it, and that of the loss is still to come

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """A training that ended early leaves a network within its budget all the same."""
        del args, state, control, given
        assert self.price is not None
        self.price.settle()
        self._end()
        if self._fits is not None:
            self._fits.remove()

    def _end(self) -> None:
        """Take what belongs to a training off network and Trainer, also where it was interrupted."""
        if self.price is not None:
            self.price.close()
        self._context.close()

    def state(self) -> dict[str, Any]:
        """What checkpoints keep; called by the Trainer when it writes one."""
        saved = None if self.price is None else self.price.saved()
        return {"args": {}, "attributes": {"saved": saved, "settled_at": self._settled_at}}
