"""Trainings that begin again, or late: interrupted ones, models that are made anew, and what is left at the end."""

import copy
import pickle
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, Trainer, TrainerCallback, TrainingArguments

from tests.experiments.training.price.conftest import SETTINGS, SIZES, price_of, rows
from walras.errors import InputError
from walras.experiments.training.price.callback import PriceCallback

Make = Callable[..., nn.Module]
Trained = Callable[..., Any]
SHORT: dict[str, Any] = {"max_steps": 8, "logging_strategy": "no"}  # two steps are priced


def _hooks(model: nn.Module) -> int:
    return sum(len(m._forward_pre_hooks) + len(m._load_state_dict_pre_hooks) for m in model.modules())


class _Fails(TrainerCallback):
    """Raises an error in the second step, the first time."""

    def __init__(self, error: BaseException) -> None:
        self.error: BaseException | None = error

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if state.global_step == 1 and self.error is not None:
            error, self.error = self.error, None
            raise error


def test_a_training_that_was_interrupted_begins_again(trainer: Trained) -> None:
    found = trainer(callbacks=[_Fails(KeyboardInterrupt())], **SHORT)
    with pytest.raises(KeyboardInterrupt):
        found.train()
    found.train()
    assert price_of(found).figures()["share_of_macs"] <= 0.5
    assert _hooks(found.model) == 0
    assert "compute_loss" not in vars(found)


def test_a_batch_that_was_too_large(trainer: Trained) -> None:
    found = trainer(callbacks=[_Fails(RuntimeError("CUDA out of memory."))], auto_find_batch_size=True, **SHORT)
    found.train()
    assert price_of(found).settled
    assert _hooks(found.model) == 0


@pytest.mark.parametrize("settings", [{}, {"cut": False, "repair": "none"}], ids=str)
def test_a_second_training_goes_on_with_what_is_left(settings: dict[str, Any], trainer: Trained) -> None:
    found = trainer(settings, **SHORT)
    found.train()
    figures, keep, hooks = price_of(found).figures(), price_of(found).keep, _hooks(found.model)
    found.train()
    assert price_of(found).figures() == figures
    assert torch.equal(price_of(found).keep, keep)
    assert _hooks(found.model) == hooks


def _made_by(make: Make, tmp_path: Any, callback: Any, **more: Any) -> Any:
    arguments = TrainingArguments(str(tmp_path / "out"), use_cpu=True, report_to=[], disable_tqdm=True, **SHORT, **more)
    return Trainer(None, arguments, train_dataset=rows(32), callbacks=[callback], model_init=cast(Any, lambda: make()))


def test_models_that_are_made_anew(network: Make, tmp_path: Any) -> None:
    sizes = iter([24, 24, 36])  # the first one serves none but to make the Trainer
    found = _made_by(
        lambda: network(intermediate_size=next(sizes)), tmp_path, PriceCallback(**SETTINGS), save_strategy="no"
    )
    for width in (24, 36):
        found.train()
        assert price_of(found).settled
        dense = price_of(found).priced.dense
        assert dense.bert.encoder.layer[0].intermediate.dense.out_features == width
        assert found.model.num_parameters() < dense.num_parameters()


@pytest.mark.nightly
def test_a_model_that_is_made_anew_and_resumed(network: Make, tmp_path: Any) -> None:
    saving: dict[str, Any] = {"save_strategy": "steps", "save_steps": 4}
    whole = _made_by(network, tmp_path, PriceCallback(**SETTINGS), **saving)
    whole.train()
    again = _made_by(network, tmp_path, PriceCallback(**SETTINGS), **saving)
    again.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


class _Wrapped(nn.Module):
    """A network inside a model that is none of transformers'."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        kind: Any = AutoModel
        self.inner, self.head = kind.from_config(AutoConfig.for_model("bert", **SIZES)), nn.Linear(16, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        states = self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        logits = self.head(states[:, 0])
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def test_a_network_inside_a_model_is_resumed(trainer: Trained, tmp_path: Any) -> None:
    whole = trainer(model=_Wrapped(), save_strategy="steps", save_steps=4, **SHORT)
    whole.train()
    again = trainer(model=_Wrapped(), **SHORT)
    again.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_a_callback_that_is_added_later(trainer: Trained, tmp_path: Any) -> None:
    found = trainer(save_strategy="steps", save_steps=1, **SHORT)
    found.pop_callback(PriceCallback)
    found.add_callback(PriceCallback(**SETTINGS))
    found.train()
    assert price_of(found).settled
    late = trainer(**SHORT)
    late.pop_callback(PriceCallback)
    late.add_callback(PriceCallback(**SETTINGS))
    with pytest.raises(InputError, match="give it to the Trainer as it is made"):
        late.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-1"))


def test_a_callback_of_another_trainer(trainer: Trained) -> None:
    own = next(one for one in trainer().callback_handler.callbacks if isinstance(one, PriceCallback))
    other = trainer()
    other.pop_callback(PriceCallback)
    with pytest.raises(InputError, match="belongs to another Trainer already"):
        Trainer(other.model, other.args, train_dataset=rows(8), callbacks=[own])


def test_a_price_is_logged_after_epochs(trainer: Trained) -> None:
    found = trainer(max_steps=-1, num_train_epochs=2, logging_strategy="epoch", per_device_train_batch_size=16)
    found.train()
    steps = {kind: [r["step"] for r in found.state.log_history if kind in r] for kind in ("loss", "share_of_macs")}
    assert steps == {"loss": [4, 8], "share_of_macs": [4, 8]}


def test_nothing_is_left_of_a_training_but_the_network(trainer: Trained) -> None:
    class Copies(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            self.copy = copy.deepcopy(given["model"])  # as those do that average weights

    copies = Copies()
    found = trainer(callbacks=[copies], **SHORT)
    found.train()
    model = found.model
    assert _hooks(model) == 0
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    assert len(pickle.dumps(model)) < 2 * weights + 50_000  # neither a dense network nor a Trainer hangs on it
