"""A price in transformers' Trainer: what it logs, saves, resumes from, and what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments

from tests.experiments.training.price.conftest import SETTINGS, batches, price_of, rows
from walras.errors import InputError
from walras.experiments.training.price.callback import PriceCallback
from walras.experiments.training.price.host import check_host, host_of
from walras.market.pricing import DualAscent
from walras.models.export.reloading import load_model
from walras.models.objective import ModelLoss

Make = Callable[..., nn.Module]
Trained = Callable[..., Any]  # makes a Trainer
PRICINGS: list[dict[str, Any]] = [
    {}, {"pricing": "shadow-price"}, {"pricing": "dual-ascent"}, {"pricing": "tax", "price": 0.3},
    {"distil": 1.0, "distil_states": 1.0},
    {"cut": False, "repair": "none"}, {"rewind": True},
]  # fmt: skip
IDS = torch.arange(4, 20).reshape(2, 8)


def test_a_training_logs_and_saves_a_smaller_network(trainer: Trained, tmp_path: Path) -> None:
    training = trainer()
    numbers = sum(p.numel() for p in training.model.parameters())
    training.train()
    price = price_of(training)
    logged = [row for row in training.state.log_history if "share_of_macs" in row]
    assert [row["step"] for row in logged] == [4, 8, 12, 16]
    assert all({"price", "units_left", "surplus"} <= row.keys() for row in logged)
    assert logged[-1]["share_of_macs"] == price.figures()["share_of_macs"] <= 0.5
    assert [row["step"] for row in training.state.log_history if "loss" in row] == [4, 8, 12, 16]
    assert sum(p.numel() for p in training.model.parameters()) < numbers
    training.save_model(str(tmp_path / "saved"))
    model = training.model.eval()
    reloaded = load_model(tmp_path / "saved").double()
    assert torch.equal(reloaded(input_ids=IDS).logits, model(input_ids=IDS).logits)
    assert "compute_loss" not in vars(training)
    assert "forward" not in vars(model)


@pytest.mark.spread
@pytest.mark.parametrize("settings", PRICINGS, ids=str)
@pytest.mark.parametrize("stop", [2, 4, 10])
def test_a_resumed_training_ends_with_the_same_bits(
    settings: dict[str, Any], stop: int, trainer: Trained, tmp_path: Path
) -> None:
    """Units settle in step 4: checkpoints from before, from just then, and from after."""
    whole = trainer(settings, save_strategy="steps", save_steps=2)
    whole.train()
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "out" / f"checkpoint-{stop}", moved)
    again = trainer(settings, output_dir=str(tmp_path / "again"))
    again.train(resume_from_checkpoint=str(moved))
    assert price_of(again).figures() == price_of(whole).figures()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_accumulated_gradients_are_the_same_step(trainer: Trained) -> None:
    one, two = trainer(), trainer(per_device_train_batch_size=2, gradient_accumulation_steps=2)
    for training in (one, two):
        training.model_accepts_loss_kwargs = False  # as BERT's loss is a mean over each batch alone
        training.train()
    assert torch.equal(price_of(one).keep, price_of(two).keep)
    for own, other in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.allclose(own, other, atol=1e-6)


def test_only_networks_that_are_left_can_be_the_best(trainer: Trained) -> None:
    found = trainer(
        callbacks=[EarlyStoppingCallback(1)], eval_strategy="steps", eval_steps=2, save_strategy="steps", save_steps=2,
        load_best_model_at_end=True, metric_for_best_model="eval_loss", learning_rate=3e-2,
    )  # fmt: skip
    found.train()
    losses = {row["step"]: row["eval_loss"] for row in found.state.log_history if "eval_loss" in row}
    best = min((loss, step) for step, loss in losses.items() if step > 4)
    assert found.state.best_metric == pytest.approx(best[0])
    assert str(found.state.best_model_checkpoint).endswith(f"checkpoint-{best[1]}")
    assert price_of(found).settled
    assert found.evaluate()["eval_loss"] == pytest.approx(best[0])


def test_a_training_that_stops_early_settles(trainer: Trained) -> None:
    class Stops(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            control.should_training_stop = state.global_step == 2

    found = trainer(callbacks=[Stops()])
    numbers = sum(p.numel() for p in found.model.parameters())
    found.train()
    assert price_of(found).settled
    assert sum(p.numel() for p in found.model.parameters()) < numbers


def test_data_come_in_the_same_order_as_without_a_price(trainer: Trained) -> None:
    seen: dict[bool, list[Any]] = {}
    for priced in (True, False):
        found = trainer({"budget": 1.0})
        if not priced:
            found.pop_callback(PriceCallback)
        rows: list[Any] = seen.setdefault(priced, [])
        original = found.training_step

        def watched(model: Any, inputs: Any, *more: Any, rows: Any = rows, original: Any = original) -> Any:
            rows.append(inputs["input_ids"].tolist())
            return original(model, inputs, *more)

        found.training_step = watched
        found.train()
    assert seen[True] == seen[False]


def test_activations_may_be_checkpointed(trainer: Trained) -> None:
    ends = []
    for checkpointed in (False, True):
        found = trainer({"pricing": "shadow-price"})
        if checkpointed:
            found.model.activation_checkpointing_enable({"use_reentrant": False})
        found.train()
        ends.append([*found.model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_a_checkpoint_without_a_price_begins_one(trainer: Trained, tmp_path: Path) -> None:
    plain = trainer(save_strategy="steps", save_steps=8, max_steps=8)
    plain.pop_callback(PriceCallback)
    plain.train()
    found = trainer(max_steps=16)
    found.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-8"))
    assert price_of(found).settled
    assert [row["step"] for row in found.state.log_history if "share_of_macs" in row] == [12, 16]


def test_a_checkpoint_of_another_dense_network(trainer: Trained, network: Make, tmp_path: Path) -> None:
    first = trainer(save_strategy="steps", save_steps=2)
    first.train()
    other = network()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    with pytest.raises(InputError, match="seed before the network is made"):
        trainer(model=other).train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))


def test_a_damaged_state_is_told(trainer: Trained, tmp_path: Path) -> None:
    trainer({"priced": 1.0}, save_strategy="steps", save_steps=2, max_steps=4).train()
    file = tmp_path / "out" / "checkpoint-2" / "trainer_state.json"
    state = json.loads(file.read_text())
    state["stateful_callbacks"]["PriceCallback"]["attributes"]["saved"]["tensors"]["logits"] = ["<f4", [3], "AAAA"]
    file.write_text(json.dumps(state))
    with pytest.raises(InputError, match="the saved price: tensors: logits is no array"):
        trainer({"priced": 1.0}).train(resume_from_checkpoint=str(file.parent))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": 0.0}, "budget is 0"),
        ({"mechanism": "Nobody"}, "Nobody"),
        ({"pricing": "cleard"}, "Did you mean 'cleared'"),
        ({"blocks": 3}, "blocks"),
    ],
)
def test_settings_are_refused_before_anything_is_loaded(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PriceCallback(**settings)


def test_a_budget_that_too_few_steps_reach(trainer: Trained) -> None:
    with pytest.raises(InputError, match=r"of 1 steps a share of 0\.25 is priced"):
        trainer(max_steps=1).train()


def test_two_prices_are_refused(trainer: Trained) -> None:
    with pytest.raises(InputError, match="2 PriceCallbacks; one pays for all units"):
        trainer(callbacks=[PriceCallback()])


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # peft asks by the former name
def test_weights_that_nobody_can_cut(trainer: Trained, network: Make) -> None:
    peft = pytest.importorskip("peft")
    adapted = peft.get_peft_model(network(), peft.LoraConfig(r=2, target_modules=["query", "value"]))
    with pytest.raises(InputError, match=r"has an adapter at .*query"):
        trainer(model=adapted)
    quantised: Any = network()
    quantised.config.quantization_config = {"quant_method": "bitsandbytes"}
    with pytest.raises(InputError, match="quantised"):
        PriceCallback(trainer=_host()).on_init_end(None, None, None, model=quantised)
    PriceCallback(trainer=_host(), cut=False).on_init_end(None, None, None, model=quantised)


def _host(**changes: Any) -> Any:
    """A stand-in for a Trainer."""
    return SimpleNamespace(args=_arguments(**changes), callback_handler=SimpleNamespace(callbacks=[]))


def _arguments(**changes: Any) -> SimpleNamespace:
    told: dict[str, Any] = {
        "deepspeed": None, "fsdp": [], "torch_compile": False, "n_gpu": 1, "gradient_checkpointing": False,
        "gradient_checkpointing_kwargs": None,
    }  # fmt: skip
    return SimpleNamespace(**{**told, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"deepspeed": "ds.json"}, "DeepSpeed"),
        ({"fsdp": ["full_shard"]}, "FSDP"),
        ({"torch_compile": True}, "torch_compile"),
        ({"n_gpu": 2}, "several GPUs in one process"),
        ({"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}, "reentrant"),
        ({"activation_checkpointing": True, "activation_checkpointing_kwargs": {"use_reentrant": True}}, "reentrant"),
    ],
)
def test_trainings_in_which_it_is_not_tested(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_host(_host(**changes), PriceCallback)
    check_host(_host(), PriceCallback)


def test_a_callback_that_no_trainer_calls() -> None:
    with pytest.raises(InputError, match="called by no Trainer"):
        host_of(PriceCallback())


def test_callbacks_that_transformers_restores_say_so(trainer: Trained, tmp_path: Path) -> None:
    trainer(save_strategy="steps", save_steps=2, max_steps=4).train()
    with pytest.raises(InputError, match="leave restore_callback_states_from_checkpoint off"):
        trainer(restore_callback_states_from_checkpoint=True).train(
            resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2")
        )


def test_batches_and_the_loss_may_be_given(network: Make, tmp_path: Path) -> None:
    """None are drawn from the training rows then, and prices are scaled by that number."""
    given = batches(3)
    callback = PriceCallback(batches=given, loss=7.0, objective=ModelLoss(), pricing="dual-ascent", **SETTINGS)
    arguments = TrainingArguments(
        str(tmp_path), max_steps=8, per_device_train_batch_size=4, use_cpu=True, report_to=[], save_strategy="no",
        disable_tqdm=True,
    )  # fmt: skip
    Trainer(network(), arguments, train_dataset=rows(64), callbacks=[callback]).train()
    price = callback.price
    assert price is not None
    assert len(price.priced.given.batches) == 3
    assert isinstance(price.pricing, DualAscent)
    assert price.pricing.rate == 7.0
    assert isinstance(price.priced.calibration.objective, ModelLoss)
