"""What users do with an export: one test for each paragraph of "After the export" in the guide."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from walras.models import compact, gated, inventory
from walras.models.export.checkpoints import save
from walras.models.export.onnx_file import PACKAGES, checked_onnx
from walras.models.export.reloading import load_model

QUIET = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def uneven(tested: Any, folder: Path) -> Any:
    """An export of which one layer has no heads, one no neurons, and the others differ; loaded again."""
    units = inventory(tested.model, block=8)
    heads = units.kind == "head"
    gone = ((units.layer == 0) & heads) | ((units.layer == 1) & ~heads) | ((units.layer == 2) & (units.index == 0))
    save(compact(tested.model, units, ~gone), None, folder)
    return load_model(folder)


def loss(model: Any, tested: Any) -> torch.Tensor:
    """The language model's loss, or that of a class for each row."""
    said = tested.batch.get("decoder_input_ids")
    labels = tested.batch["input_ids"] if tested.decoder else torch.arange(4) % 3 if said is None else said
    found: torch.Tensor = model(**tested.batch, labels=labels).loss
    return found


@QUIET
def test_int8(family: str, tiny: Any, tmp_path: Path) -> None:
    """As near to the export as the dense model in int8 is to itself: nothing is left out, nothing made up."""
    tested = tiny(family)
    model = uneven(tested, tmp_path / "small")
    assert all(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
    with torch.no_grad():
        moved = []
        for plain in (tested.model, model):
            quantize: Any = torch.ao.quantization.quantize_dynamic
            small = quantize(plain, {nn.Linear}, dtype=torch.qint8)
            moved.append(float((tested.logits(small) - tested.logits(plain)).norm() / tested.logits(plain).norm()))
    assert moved[1] < 3 * max(moved[0], 0.01)


@QUIET
def test_lora_with_merging(family: str, tiny: Any, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    tested = tiny(family)
    model = uneven(tested, tmp_path / "small")
    with torch.no_grad():
        before = tested.logits(model)
        adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules="all-linear"))
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_()
        adapted.eval()
        expected = tested.logits(adapted)
        assert float((expected - before).abs().max()) > 1e-3
        adapted.merge_and_unload().save_pretrained(tmp_path / "merged")
        torch.testing.assert_close(tested.logits(load_model(tmp_path / "merged")), expected, rtol=1e-4, atol=1e-4)


@QUIET
def test_lora_by_names(tiny: Any, tmp_path: Path) -> None:
    """peft adapts no map of a sub-layer without units, and wants to be told so."""
    peft = pytest.importorskip("peft")
    model = uneven(tiny("llama"), tmp_path / "small")
    with pytest.raises(ValueError, match=r"Emptied\(\) is not supported"):
        peft.get_peft_model(model, peft.LoraConfig(target_modules=["up_proj"]))
    left_out = r".*layers\.1\.mlp.*"
    adapted = peft.get_peft_model(
        model, peft.LoraConfig(target_modules=["up_proj", "q_proj"], exclude_modules=left_out)
    )
    layers = {name.split("layers.")[1][0] for name, _ in adapted.named_parameters() if "lora_A" in name}
    assert layers == {"0", "1", "2"}


def test_gradient_checkpointing(family: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(family)
    model = uneven(tested, tmp_path / "small").train()
    if not tested.model.supports_gradient_checkpointing:  # nor does the dense model
        with pytest.raises(ValueError, match="does not support"):
            model.activation_checkpointing_enable()
        return
    for module in model.modules():
        for chance in ("p", "dropout", "layerdrop"):
            if isinstance(getattr(module, chance, None), float):
                setattr(module, chance, 0.0)
    gradients = []
    for checkpointed in (False, True):
        if checkpointed:
            model.activation_checkpointing_enable()
        model.zero_grad()
        torch.autograd.backward(loss(model, tested))
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) > 10
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """The rows of the batch, four times over."""

    def __init__(self, tested: Any) -> None:
        labels = tested.batch["input_ids"] if tested.decoder else torch.arange(4) % 3
        self.batch = {**tested.batch, "labels": labels}

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: values[index % 4] for name, values in self.batch.items()}


RESUMED = ("bert", *(pytest.param(kind, marks=pytest.mark.nightly) for kind in ("gpt2", "distilbert")))


@pytest.mark.nightly
@QUIET
@pytest.mark.parametrize("kind", RESUMED)
def test_trainer_with_resume(kind: str, tiny: Any, tmp_path: Path) -> None:
    """From the middle it comes to the weights of the training that was not interrupted."""
    pytest.importorskip("accelerate")
    tested = tiny(kind)
    uneven(tested, tmp_path / "small")

    def train(steps: int, folder: str, **resume: Any) -> Any:
        told = transformers.TrainingArguments(
            str(tmp_path / folder), max_steps=steps, save_steps=2, per_device_train_batch_size=4, report_to=[],
            use_cpu=True, seed=0, lr_scheduler_type="constant", disable_tqdm=True, logging_strategy="no",
        )  # fmt: skip
        trainer = transformers.Trainer(load_model(tmp_path / "small"), told, train_dataset=Rows(tested))
        trainer.train(**resume)
        return trainer.model

    whole = train(4, "whole")
    train(2, "half")
    resumed = train(4, "half", resume_from_checkpoint=str(tmp_path / "half" / "checkpoint-2"))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    saved = load_model(tmp_path / "half" / "checkpoint-4")
    with torch.no_grad():
        assert torch.equal(tested.logits(saved), tested.logits(resumed.eval()))


@pytest.mark.nightly
def test_every_family_resumes(every_family: str, tiny: Any, tmp_path: Path) -> None:
    """What the Trainer reads of a checkpoint, of families that have names of their own for the number of layers."""
    uneven(tiny(every_family), tmp_path / "small").save_pretrained(tmp_path / "again")
    told = transformers.PreTrainedConfig.from_json_file(str(tmp_path / "again" / "config.json"))
    assert told.num_hidden_layers == 3


@QUIET
@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_compiled_as_a_whole(kind: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(kind)
    model = uneven(tested, tmp_path / "small")
    torch._dynamo.reset()
    with torch.no_grad():
        expected = tested.logits(model)
        compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(**tested.batch).logits, expected, rtol=1e-4, atol=1e-5)


@QUIET
@pytest.mark.nightly
def test_compiled_by_layer(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of different widths are as many graphs; beyond `recompile_limit` the rest would run uncompiled."""
    tested = tiny("bert")
    model = uneven(tested, tmp_path / "small")
    graphs: list[int] = []

    def count(graph: Any, inputs: Any) -> Any:
        del inputs
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    with torch.no_grad():
        expected = tested.logits(model)
        for limit, compiled in ((1, 1), (8, 3)):
            torch._dynamo.reset()
            graphs.clear()
            monkeypatch.setattr(torch._dynamo.config, "recompile_limit", limit)
            whole = copy.deepcopy(model)
            for layer in whole.bert.encoder.layer:
                layer.compile(backend=count)
            torch.testing.assert_close(tested.logits(whole), expected, rtol=1e-4, atol=1e-5)
            assert len(graphs) == compiled


@QUIET
@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_onnx(kind: str, tiny: Any, tmp_path: Path) -> None:
    for name in PACKAGES:
        pytest.importorskip(name)
    tested = tiny(kind)
    model = uneven(tested, tmp_path / "small")
    assert checked_onnx(model, ("input_ids", "attention_mask"), tmp_path / "model.onnx") < 1e-4


def test_fixed_gates_in_further_training(tiny: Any, tmp_path: Path) -> None:
    """Gates hold while the context is open, weights learn under them, and `save_pretrained` writes weights alone."""
    tested = tiny("bert")
    units = inventory(tested.model, block=8)
    keep = np.random.default_rng(0).random(len(units)) < 0.6
    model = copy.deepcopy(tested.model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gated(model, units, torch.from_numpy(keep).float()):
        first = loss(model, tested).detach()
        for _ in range(3):
            optimizer.zero_grad()
            torch.autograd.backward(loss(model, tested))
            optimizer.step()
        assert float(loss(model, tested).detach()) < float(first)
        model.save_pretrained(tmp_path / "gates")
        under = tested.logits(model).detach()
    again = type(model).from_pretrained(tmp_path / "gates", attn_implementation="eager").eval()
    save(compact(model, units, keep), None, tmp_path / "small")
    found = load_model(tmp_path / "small", attn_implementation="eager")
    with torch.no_grad():
        assert float((tested.logits(again) - under).abs().max()) > 1e-3  # the gates are not in the file
        torch.testing.assert_close(tested.logits(found), under, rtol=0, atol=1e-5)
