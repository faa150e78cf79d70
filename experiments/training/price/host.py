"""The Trainer that a callback serves: how it is found, what it must be, and what it is asked for."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import IterableDataset

from walras.errors import InputError
from walras.experiments.training.price.network import network_of, own_random_state, recorded_inputs
from walras.models.objective import Batch

SAMPLES = 8  # rows of a batch on which units are valued, at most


def host_of(callback: object) -> Any:
    """The Trainer that has just called one of a callback's events.

    Events get model, optimizer and data, but not the Trainer, whose log and whose loss are wanted. It is the one of the
    callers that has the callback.

    Raises:
        InputError: no Trainer called.
    """
    from transformers import Trainer

    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, Trainer) and any(one is callback for one in caller.callback_handler.callbacks):
            return caller
        frame = frame.f_back
    raise InputError("PriceCallback was called by no Trainer; give it yours: PriceCallback(trainer=...)")


def check_host(trainer: Any, kind: type) -> None:
    """Refuse what a price cannot be paid in, or has not been tested in.

    Raises:
        InputError: several such callbacks, several GPUs in one process, DeepSpeed, FSDP, torch.compile, reentrant
            checkpointing of activations.
    """
    args = trainer.args
    callbacks = [one for one in trainer.callback_handler.callbacks if isinstance(one, kind)]
    checkpointing = [
        (getattr(args, f"{name}_kwargs", None) or {}).get("use_reentrant")
        for name in ("gradient_checkpointing", "activation_checkpointing")
        if getattr(args, name, False)
    ]
    for wrong, what in (
        (len(callbacks) > 1, f"{len(callbacks)} PriceCallbacks; one pays for all units"),
        (args.deepspeed, "DeepSpeed, in which a price is not tested"),
        (args.fsdp, "FSDP, in which a price is not tested"),
        (args.torch_compile, "torch_compile, in which a price is not tested"),
        (args.n_gpu > 1, "several GPUs in one process; start one process for each: accelerate launch"),
        (any(checkpointing), "reentrant checkpointing of activations; leave use_reentrant off"),
    ):
        if wrong:
            raise InputError(f"the Trainer has {what}")


def calibration(trainer: Any, data: Any, sentences: int) -> tuple[list[Batch], float | None]:
    """Batches of training rows, drawn by the Trainer's seed, as the network takes them; and their mean loss.

    What random numbers follow is as if nothing had been drawn.

    Raises:
        InputError: no rows, or a loss that cannot be computed.
    """
    model, network = trainer.model, network_of(trainer.model)
    was, device = model.training, next(network.parameters()).device
    batches, losses = list[Batch](), list[float]()
    model.eval()
    with own_random_state(trainer.args.seed), torch.no_grad():
        for rows in _drawn(data, sentences, trainer.args.seed):
            given = trainer._prepare_inputs(data.collate_fn(rows))
            with recorded_inputs(network) as seen:
                losses.append(float(trainer.compute_loss(model, dict(given))))
            direct = model is network and all(isinstance(value, Tensor) for value in given.values())
            batches += [{name: value.to(device) for name, value in given.items()}] if direct else seen
    model.train(was)
    return batches, sum(losses) / len(losses) if losses else None


@contextmanager
def with_penalty(trainer: Any, penalty: Callable[[], Tensor]) -> Iterator[None]:
    """Within the context, every loss that the Trainer trains on has the penalty added."""
    original, own = trainer.compute_loss, "compute_loss" in vars(trainer)

    def compute_loss(model: nn.Module, inputs: Any, return_outputs: bool = False, **more: Any) -> Any:
        found = original(model, inputs, return_outputs=return_outputs, **more)
        if not model.training:
            return found
        weighed = penalty() / (_accumulated(trainer) if _scaled(trainer, more.get("num_items_in_batch")) else 1)
        return (found[0] + weighed, *found[1:]) if return_outputs else found + weighed

    trainer.compute_loss = compute_loss  # the one place where a loss can be added to
    try:
        yield
    finally:
        if own:
            trainer.compute_loss = original
        else:
            del trainer.compute_loss


def tell_new_models(trainer: Any, tell: Callable[[nn.Module], object]) -> None:
    """Tell of every model that the Trainer makes by `model_init` from now on, before weights are loaded into it."""
    original = trainer.call_model_init

    def call_model_init(trial: Any = None) -> nn.Module:
        model: nn.Module = original(trial)
        tell(model)
        return model

    trainer.call_model_init = call_model_init  # the one place where all are made


def wrap_anew(trainer: Any) -> None:
    """Let the wrapper that averages gradients over processes know the parameters as they are now."""
    if not isinstance(trainer.model_wrapped, DistributedDataParallel):
        return
    wrapper: Any = trainer.model_wrapped
    for parameter in wrapper.module.parameters():
        parameter.requires_grad_(parameter.requires_grad and parameter.numel() > 0)  # of no use, and waited for
    handler = trainer.accelerator.ddp_handler
    told = {} if handler is None else handler.to_kwargs()
    ids, output = wrapper.device_ids, wrapper.output_device
    wrapper.reducer = wrapper.logger = None  # they keep what knows parameters by their former shapes
    wrapper.__init__(wrapper.module, device_ids=ids, output_device=output, **told)  # the loop holds this very object


def _drawn(data: Any, sentences: int, seed: int) -> Iterator[Sequence[Any]]:
    """Rows in batches of at most 8."""
    rows = data.dataset
    if not isinstance(rows, IterableDataset) and hasattr(rows, "__getitem__") and hasattr(rows, "__len__"):
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:sentences]
        found = [rows[int(i)] for i in order]
    else:
        found = list(islice(iter(rows), sentences))
    if not found:
        raise InputError("the Trainer has no training rows, on which units could be valued")
    for start in range(0, len(found), SAMPLES):
        yield found[start : start + SAMPLES]


def _accumulated(trainer: Any) -> int:
    """Batches whose gradients are added up in this step."""
    return int(getattr(trainer, "current_gradient_accumulation_steps", trainer.args.gradient_accumulation_steps))


def _scaled(trainer: Any, items: Any) -> bool:
    """Whether the loss is one of all batches of the step already, so that the Trainer does not divide it."""
    told: bool | None = getattr(trainer, "loss_is_scaled_for_ga", None)
    if told is not None:
        return told
    return (trainer.model_accepts_loss_kwargs and items is not None) or trainer.compute_loss_func is not None
