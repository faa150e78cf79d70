"""A price in `transformers.Trainer`, and in the trainers that descend from it."""

from contextlib import ExitStack
from typing import Any, final

from torch import nn
from transformers.trainer_callback import ExportableState, TrainerCallback

from walras.errors import InputError
from walras.experiments.training.price.host import calibration, check_host, host_of, with_penalty, wrap_anew
from walras.experiments.training.price.network import check_cut, network_of
from walras.experiments.training.price.price import Price
from walras.experiments.training.price.priced_network import units_of, untouched
from walras.experiments.training.price.settings import PriceSettings
from walras.models.export.in_place import cut_to_fit

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
        settings: budget, pricing, price, mechanism, valuation, repair, ...: those of `walras train`, and `cut`.

    Attributes:
        price: the price, once training has begun.

    Raises:
        InputError: bad settings; once a Trainer has it, whatever it cannot be used with.
    """

    def __init__(self, *, trainer: Any = None, **settings: Any) -> None:
        self._given = settings
        self._settings = PriceSettings.parse(settings)
        self._settings.plan()  # names are resolved, or refused, before anything is loaded
        self._trainer = trainer
        self._dense: nn.Module | None = None
        self._context = ExitStack()
        self.price: Price | None = None

    def on_init_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Keep the network as it is before training."""
        del args, state, control
        self._trainer = self._trainer or host_of(self)
        check_host(self._trainer, PriceCallback)
        network = network_of(given["model"])
        if self._settings.cut:
            check_cut(network)
        self._dense = untouched(network)
        self._units = units_of(self._dense, self._settings)
        network.register_load_state_dict_pre_hook(self._fit)

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Gates on the network, or where the checkpoint left them."""
        del args, control
        if self._trainer is None or self._dense is None:
            raise InputError(
                "PriceCallback restores itself from checkpoints; leave restore_callback_states_from_checkpoint off"
            )
        saved = ((state.stateful_callbacks or {}).get(_NAME) or {}).get("attributes", {}).get("saved")
        steps = state.max_steps - (state.global_step if saved is None else 0)
        batches, loss = calibration(self._trainer, given["train_dataloader"], self._settings.market.sentences)
        self.price = Price(
            given["model"], given["optimizer"], steps=steps, batches=batches, loss=loss, dense=self._dense,
            saved=saved, **self._given,
        )  # fmt: skip
        self._context.enter_context(with_penalty(self._trainer, self.price.penalty))

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Until units have settled, no evaluation is the best so far: networks of their size come later."""
        del args, control, given
        if self.price is not None and not self.price.settled:
            state.best_metric = state.best_model_checkpoint = state.best_global_step = None

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Gates and price follow; once units settle, the network is smaller."""
        del args, state, given
        price, trainer = self.price, self._trainer
        assert price is not None
        assert trainer is not None
        if control.should_log:
            trainer.log(price.figures())
            control.should_log = True  # a log clears it, and that of the loss is still to come
        scaler, before = trainer.accelerator.scaler, price.settled
        price.step(1.0 if scaler is None else float(scaler.get_scale()))
        if price.settled and not before:
            wrap_anew(trainer)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """A training that ended early leaves a network within its budget all the same."""
        del args, state, control, given
        assert self.price is not None
        self.price.settle()
        self.price.close()
        self._context.close()

    def state(self) -> dict[str, Any]:
        """What checkpoints keep; called by the Trainer when it writes one."""
        return {"args": {}, "attributes": {"saved": None if self.price is None else self.price.saved()}}

    def _fit(self, module: nn.Module, tensors: Any, prefix: str, *_: Any) -> None:
        """A hook before weights are loaded: a checkpoint from after units settled has a smaller network's."""
        whole = self._dense is not None and _numbers(module) == _numbers(self._dense)
        if whole and not prefix and self._settings.cut:
            cut_to_fit(module, self._units, tensors)


def _numbers(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
