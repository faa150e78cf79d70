import ast
import copy
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from walras.errors import InputError, UnknownNameError
from walras.models import Inventory, compact, inventory
from walras.models.attention import Softmax, attention_market
from walras.models.export.checkpoints import CODE, save
from walras.models.export.reloading import load_model
from walras.models.loading import Head
from walras.models.loading import load as load_any

Keep = NDArray[np.bool_]
CLASSES: dict[bool, Any] = {
    True: transformers.AutoModelForCausalLM,
    False: transformers.AutoModelForSequenceClassification,
}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remote code is copied to a folder of the test's own, and no bar is drawn."""
    place = str(tmp_path_factory.mktemp("modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", place)
    monkeypatch.syspath_prepend(place)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no types


def masks(units: Inventory) -> list[Keep]:
    """A random set; one in which a layer loses its heads, one its neurons, one both; and nothing at all."""
    draw = np.random.default_rng(5)
    heads = units.kind == "head"
    gone = ((units.layer == 0) & heads) | ((units.layer == 1) & ~heads) | (units.layer == 2)
    return [draw.random(len(units)) < 0.6, (draw.random(len(units)) < 0.7) & ~gone, np.zeros(len(units), dtype=bool)]


def remote(tested: Any, folder: Path, attention: str) -> Any:
    """The model as transformers loads it with the code in the folder."""
    kind = CLASSES[tested.decoder]
    if "pixel_values" in tested.batch:
        kind = transformers.AutoModelForImageClassification
    return kind.from_pretrained(folder, trust_remote_code=True, attn_implementation=attention).eval()


@pytest.mark.parametrize("which", [1, *(pytest.param(mask, marks=pytest.mark.nightly) for mask in (0, 2))])
def test_what_is_reloaded_gives_the_same_logits(
    family: str, attention: str, which: int, tiny: Any, tmp_path: Path
) -> None:
    tested = tiny(family, attention)
    units = inventory(tested.model, block=8)
    with torch.no_grad():
        for keep in masks(units)[which : which + 1]:
            small = compact(tested.model, units, keep)
            expected = tested.logits(small)
            save(small, None, tmp_path / "small", overwrite=True)
            ours = load_model(tmp_path / "small", attn_implementation=attention)
            theirs = remote(tested, tmp_path / "small", attention)
            assert torch.equal(tested.logits(ours), expected)
            assert torch.equal(tested.logits(theirs), expected)
            assert not type(theirs).__module__.startswith("walras")
            assert not theirs.training
            assert [p.numel() for p in ours.parameters()] == [p.numel() for p in small.parameters()]


@pytest.mark.parametrize("by", ["ours", "theirs"])
@pytest.mark.parametrize("kind", ["bert", "mpnet", "gpt2", "qwen2"])
def test_saved_again_it_is_an_export_again(kind: str, by: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(kind)
    units = inventory(tested.model, block=8)
    small = compact(tested.model, units, masks(units)[1])
    save(small, None, tmp_path / "small")
    first = load_model(tmp_path / "small") if by == "ours" else remote(tested, tmp_path / "small", "eager")
    first.save_pretrained(tmp_path / "again")
    with torch.no_grad():
        expected = tested.logits(small)
        assert torch.equal(tested.logits(load_model(tmp_path / "again", attn_implementation="eager")), expected)
        assert torch.equal(tested.logits(remote(tested, tmp_path / "again", "eager")), expected)


@pytest.mark.parametrize("kind", ["bert", "mpnet", "gpt2", "gpt_neox", "qwen2", "vit"])
def test_a_reloaded_model_can_be_sliced_and_exported_again(kind: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(kind)
    units = inventory(tested.model, block=8)
    keep, fewer = masks(units)[0], masks(units)[1]
    save(compact(tested.model, units, keep), None, tmp_path / "first")
    ours = load_model(tmp_path / "first", attn_implementation="eager")
    for again in (ours, remote(tested, tmp_path / "first", "eager")):
        twice = compact(again, inventory(again, block=8), fewer[_left(units, keep)])
        save(twice, None, tmp_path / "second", overwrite=True)
        with torch.no_grad():
            expected = tested.logits(compact(again, inventory(again, block=8), fewer[_left(units, keep)]))
            found = load_model(tmp_path / "second", attn_implementation="eager")
            assert torch.equal(tested.logits(found), expected)
            assert found.config.per_layer_config[0].attention_heads == 0


def _left(units: Inventory, keep: Keep) -> NDArray[np.int64]:
    """Rows of the first inventory whose kind, layer and place match the second's; FFN blocks are counted anew."""
    rows: list[int] = []
    for site in units.sites:
        width = int(units.width[site.units][keep[site.units]].sum())
        rows += range(site.units.start, site.units.start + -(-width // site.block))
    return np.array(rows)


def test_relative_positions_of_the_heads_that_stay(tiny: Any, tmp_path: Path) -> None:
    tested = tiny("mpnet")
    units = inventory(tested.model)
    keep = np.ones(len(units), dtype=bool)
    keep[[0, 2]] = False  # heads of the first layer
    save(compact(tested.model, units, keep), None, tmp_path / "first")
    again = load_model(tmp_path / "first")
    assert again.config.per_layer_config[0].position_bias_heads == [1, 3]
    save(compact(again, inventory(again), np.arange(len(units) - 2) != 0), None, tmp_path / "second")
    twice = load_model(tmp_path / "second")
    assert twice.config.per_layer_config[0].position_bias_heads == [3]
    keep[1] = False
    with torch.no_grad():
        torch.testing.assert_close(
            tested.logits(twice), tested.logits(compact(tested.model, units, keep)), rtol=0, atol=1e-6
        )


def test_generation_with_a_cache(decoder: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(decoder)
    units = inventory(tested.model, block=8)
    prompt = {name: x[:1, :5] for name, x in tested.batch.items()}
    told = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    for keep in masks(units):
        small: Any = compact(tested.model, units, keep)
        expected = small.generate(**prompt, **told, use_cache=False)
        save(small, None, tmp_path / "small", overwrite=True)
        for found in (load_model(tmp_path / "small"), remote(tested, tmp_path / "small", "sdpa")):
            chunks = {"cache_implementation": "static", "prefill_chunk_size": 2}
            for options in ({"use_cache": True}, {"use_cache": False}, {"cache_implementation": "static"}, chunks):
                assert torch.equal(found.generate(**prompt, **told, **options), expected), options


def test_the_class_of_the_base_model_and_of_another_head(tiny: Any, tmp_path: Path) -> None:
    tested = tiny("bert")
    units = inventory(tested.model, block=8)
    small: Any = compact(tested.model, units, masks(units)[1])
    save(small, None, tmp_path / "small")
    batch = tested.batch
    with torch.no_grad():
        expected = small.bert(**batch).last_hidden_state
        told = {"attn_implementation": "eager"}
        assert torch.equal(load_model(tmp_path / "small", "AutoModel", **told)(**batch).last_hidden_state, expected)
        base = transformers.AutoModel.from_pretrained(tmp_path / "small", trust_remote_code=True, **told)
        assert type(base).__name__ == "SlicedBertModel"
        assert torch.equal(base(**batch).last_hidden_state, expected)
    assert type(load_model(tmp_path / "small", "AutoModelForMaskedLM")).__name__ == "SlicedBertForMaskedLM"
    with pytest.raises(InputError, match=r"cannot be loaded as AutoModelForImageClassification; valid: AutoModel, "):
        load_model(tmp_path / "small", "AutoModelForImageClassification")


def test_a_full_model_and_one_of_half_precision(tiny: Any, tmp_path: Path) -> None:
    tested = tiny("llama", dtype=torch.bfloat16)
    save(tested.model, None, tmp_path / "full")
    found = load_model(tmp_path / "full", attn_implementation="eager")
    assert found.dtype == torch.bfloat16
    assert torch.equal(tested.logits(found), tested.logits())


def test_without_trust_stock_classes_refuse_it(tiny: Any, tmp_path: Path) -> None:
    tested = tiny("bert")
    units = inventory(tested.model, block=8)
    save(compact(tested.model, units, masks(units)[0]), None, tmp_path / "small")
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "small", trust_remote_code=False)


def test_the_modelling_file_stands_for_itself(tiny: Any, tmp_path: Path) -> None:
    names = {
        (str(node.module) if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(CODE.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert names == {"torch", "transformers", "collections", "functools", "inspect", "typing"}
    tested = tiny("gpt2")
    units = inventory(tested.model, block=8)
    small = compact(tested.model, units, masks(units)[1])
    save(small, None, tmp_path / "small")
    code = (
        "import sys; sys.modules['walras'] = None\n"  # any import of it fails
        "import torch, transformers\n"
        "m = transformers.AutoModelForCausalLM.from_pretrained('small', trust_remote_code=True)\n"
        "print('sum:', float(m(torch.arange(9)[None] + 4).logits.double().sum()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = float(done.stdout.rpartition("sum:")[2])
    with torch.no_grad():
        assert abs(found - float(small(torch.arange(9)[None] + 4).logits.double().sum())) < 1e-5


@pytest.mark.parametrize(
    ("kind", "head", "name"),
    [
        ("bert", "classification", "SlicedBertForSequenceClassification"),
        ("bert", "base", "SlicedBertModel"),
        ("bert", "auto", "SlicedBertModel"),
        ("gpt2", "auto", "SlicedGPT2LMHeadModel"),
        ("gpt2", "base", "SlicedGPT2Model"),
    ],
)
def test_an_export_is_a_model_like_any_other(kind: str, head: Head, name: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(kind)
    units = inventory(tested.model, block=8)
    save(compact(tested.model, units, masks(units)[0]), _tokenizer(), tmp_path / "small")
    loaded = load_any(str(tmp_path / "small"), head, device="cpu")
    assert type(loaded.model).__name__ == name
    left = inventory(loaded.model, block=8)
    assert int(left.width.sum()) == int(units.width[masks(units)[0]].sum())


def test_an_export_changes_its_attention_as_its_family_does(family: str, tiny: Any, tmp_path: Path) -> None:
    """transformers looks in the source file of a class for what its attention can do."""
    tested = tiny(family)
    units = inventory(tested.model, block=8)
    save(compact(tested.model, units, masks(units)[0]), None, tmp_path / "small")
    found = load_model(tmp_path / "small", attn_implementation="eager")
    assert found._can_set_attn_implementation() == tested.model._can_set_attn_implementation()
    with torch.no_grad(), attention_market(found, Softmax()):
        inside = tested.logits(found)
    torch.testing.assert_close(inside, tested.logits(found), rtol=1e-4, atol=1e-5)


def test_an_export_without_the_head_that_is_needed(tiny: Any, tmp_path: Path) -> None:
    save(tiny("gpt2").model, _tokenizer(), tmp_path / "small")
    with pytest.raises(InputError, match=r"no trained weights for score\.weight .*needs one that was fine-tuned"):
        load_any(str(tmp_path / "small"), "classification", device="cpu")
    save(tiny("distilbert").model, _tokenizer(), tmp_path / "other")
    with pytest.raises(InputError, match=r"other. is an encoder \(distilbert\); this task needs a decoder"):
        load_any(str(tmp_path / "other"), "causal", device="cpu")


def _tokenizer() -> Any:
    return transformers.BertTokenizer(
        vocab={w: i for i, w in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"))}
    )


@pytest.fixture
def exported(tiny: Any, tmp_path: Path) -> Callable[[str], Path]:
    """Exports a family's tiny model of which nothing was cut but the first head or group of each layer."""

    def export(family: str) -> Path:
        tested = tiny(family)
        units = inventory(tested.model, block=8)
        save(compact(tested.model, units, (units.kind == "ffn") | (units.index > 0)), None, tmp_path / family)
        return tmp_path / family

    return export


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("llama", {"attention_heads": 3}, r"layer 1: attention_heads = 3 with key_value_heads = 2; valid: 2 for each"),
        ("llama", {"key_value_heads": 1}, r"layer 1: attention_heads = 4 with key_value_heads = 1; valid: 2 for each"),
        ("llama", {"attention_heads": 7}, r"layer 1: attention_heads = 7; valid: a whole number from 0 to 6"),
        ("bert", {"attention_heads": -1}, r"layer 1: attention_heads = -1; valid: a whole number from 0 to 4"),
        ("bert", {"ffn_neurons": "40"}, r"layer 1: ffn_neurons = '40'; valid: a whole number from 0 to 40"),
        ("bert", {"ffn_neurons": 41}, r"layer 1: ffn_neurons = 41; valid: a whole number from 0 to 40"),
        ("bert", {"ffn_neurons": None}, r"missing: \['ffn_neurons'\]|layer 1: ffn_neurons = None"),
        (
            "bert", {"ffn_neurons": 39},
            r"was changed: layer 1: bert\.encoder\.layer\.1\.intermediate\.dense\.bias has shape \[40\] in the "
            r"weights, and \[39\] by config\.json",
        ),
        ("gpt2", {"attention_heads": 2}, r"layer 1: transformer\.h\.1\.attn\.c_attn\.bias has shape \[54\] .* \[36\]"),
        ("llama", {"attention_heads": 2, "key_value_heads": 1}, r"layer 1: model\.layers\.1\.self_attn\.k_proj"),
        ("mpnet", {"position_bias_heads": [0, 9, 1]}, r"layer 1: position_bias_heads = \[0, 9, 1\]; valid: 3 "),
        ("mpnet", {"position_bias_heads": [0]}, r"layer 1: position_bias_heads = \[0\]; valid: 3 .* below 4"),
    ],
)  # fmt: skip
def test_counts_changed_by_hand(
    exported: Callable[[str], Path], kind: str, change: dict[str, Any], message: str
) -> None:
    file = exported(kind) / "config.json"
    config = json.loads(file.read_text())
    config["per_layer_config"]["1"].update(change)
    file.write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        load_model(file.parent)
    _tokenizer().save_pretrained(file.parent)
    with pytest.raises(InputError, match=r"(layers?|h)[. ]1"):
        load_any(str(file.parent), "auto" if kind in ("llama", "gpt2") else "classification", device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("per_layer_config"), "has no attribute 'attention_heads'"),
        (lambda c: c["per_layer_config"].pop("1"), "attention_heads"),
        (lambda c: c.pop("walras"), "is no export of walras: its config.json has no 'walras'"),
        (lambda c: c["walras"].pop("heads"), "config.json was changed: 'heads'"),
        (lambda c: c["walras"]["heads"].update(output="no.where"), "has no attribute `no`"),
        (lambda c: c.update(architectures=["BertModel"]), "cannot be loaded as BertModel; valid: AutoModel, "),
        (lambda c: c.update(architectures=["SlicedNothing"]), "cannot be loaded as SlicedNothing; valid: AutoModel, "),
    ],
)  # fmt: skip
def test_configurations_changed_by_hand(exported: Callable[[str], Path], change: Any, message: str) -> None:
    file = exported("bert") / "config.json"
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        load_model(file.parent)


def test_weights_changed_by_hand(exported: Callable[[str], Path]) -> None:
    file = exported("bert") / "model.safetensors"
    good = load_file(file)
    name = "bert.encoder.layer.2.attention.self.key.weight"
    for change, message in (
        ({name: good[name][:-6].contiguous()}, r"layer 2: bert\S+key\.weight has shape \[12, 24\] .* \[18, 24\] by"),
        ({name: None}, r"layer 2: bert\S+key\.weight is missing in the weights"),
        ({"bert.encoder.layer.0.more": torch.ones(2)}, r"layer 0: bert\S+more is unexpected in the weights"),
        ({"classifier.bias": None}, r"was changed: classifier\.bias is missing in the weights"),
    ):
        save_file({k: v for k, v in {**good, **change}.items() if v is not None}, file, metadata={"format": "pt"})
        with pytest.raises(InputError, match=message):
            load_model(file.parent)
    file.write_bytes(b"x" * 99)
    with pytest.raises(InputError, match="cannot load export"):
        load_model(file.parent)
    file.unlink()
    with pytest.raises(InputError, match=r"cannot load export .*model\.safetensors"):
        load_model(file.parent)


def test_what_is_no_export(tmp_path: Path, tiny: Any) -> None:
    with pytest.raises(InputError, match=r"is no export: cannot read its config\.json"):
        load_model(tmp_path)
    tiny("bert").model.save_pretrained(tmp_path / "stock")
    with pytest.raises(InputError, match=r"is no export of walras: .*AutoModel loads it"):
        load_model(tmp_path / "stock")


def test_what_cannot_be_exported(tmp_path: Path, tiny: Any) -> None:
    class Own(transformers.BertModel):  # type: ignore[no-untyped-call]  # transformers has no types here
        pass

    config = copy.deepcopy(tiny("bert").model.config)
    t5 = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    )
    for model in (nn.Sequential(tiny("bert").model), Own(config)):
        with pytest.raises(InputError, match=r"cannot export a (Sequential|Own); it must be of a model class"):
            save(model, None, tmp_path / "out")
    with pytest.raises(UnknownNameError, match=r"unknown model family 't5'.* Known: bert, "):
        save(t5, None, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class Failing:
    """A tokenizer that cannot be written."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def save_pretrained(self, folder: Path) -> None:
        (folder / "tokenizer.json").write_text("half")
        raise self.error


FULL = "No space left on device"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, FULL), SafetensorError(FULL), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_what_was_there(error: BaseException, tiny: Any, tmp_path: Path) -> None:
    model = tiny("bert").model
    with pytest.raises((InputError, KeyboardInterrupt)):
        save(model, Failing(error), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    save(model, None, tmp_path / "out", card="old")
    before = contents(tmp_path)
    with pytest.raises((InputError, KeyboardInterrupt)) as caught:
        save(model, Failing(error), tmp_path / "out", card="new", overwrite=True)
    assert contents(tmp_path) == before
    assert isinstance(error, KeyboardInterrupt) or f"{FULL}; what was there" in str(caught.value)


def test_weights_for_which_there_is_no_room(tiny: Any, tmp_path: Path) -> None:
    """A real full disk: a limit on the size of files, in a process of its own."""
    tiny("bert").model.save_pretrained(tmp_path / "stock")
    save(tiny("bert").model, None, tmp_path / "out", card="old")
    before = contents(tmp_path)
    code = (
        "import resource, signal, transformers\n"
        "from walras.models.export.checkpoints import save\n"
        "from walras.errors import InputError\n"
        "model = transformers.BertForSequenceClassification.from_pretrained('stock')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try:\n    save(model, None, 'out', card='new', overwrite=True)\n"
        "except InputError as error:\n    print('refused:', error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "refused: cannot write 'out': " in done.stdout
    assert contents(tmp_path) == before


def test_an_exchange_that_fails_puts_the_old_one_back(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tiny("bert").model, None, tmp_path / "out", card="old")
    before = contents(tmp_path)
    real = os.rename

    def rename(source: Path, target: Path) -> None:
        if source.name.endswith(".partial"):
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr("walras.models.export.whole_folder.os.rename", rename)
    with pytest.raises(InputError, match="Input/output error"):
        save(tiny("bert").model, None, tmp_path / "out", card="new", overwrite=True)
    assert contents(tmp_path) == before


def test_targets(tiny: Any, tmp_path: Path) -> None:
    model = tiny("bert").model
    place = tmp_path / "deep" / "out"
    save(model, _tokenizer(), place, card="old")
    assert (place / "README.md").read_text() == "old"
    assert (place / "tokenizer.json").stat().st_mode == (place / "model.safetensors").stat().st_mode
    with pytest.raises(InputError, match="holds another export; use --overwrite"):
        save(model, None, place)
    save(model, None, place, card="new", overwrite=True)
    assert (place / "README.md").read_text() == "new"
    assert not (place / "tokenizer.json").exists()
    (place / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'notes\.txt', which no export wrote; choose another folder"):
        save(model, None, place, overwrite=True)
    assert (place / "notes.txt").exists()
    model.save_pretrained(tmp_path / "stock")
    with pytest.raises(InputError, match=r"holds 'config\.json', which no export wrote"):
        save(model, None, tmp_path / "stock", overwrite=True)
    with pytest.raises(InputError, match="is a file; it must be a folder"):
        save(model, None, place / "notes.txt")
    with pytest.raises(InputError, match="is no folder that you may write to"):
        save(model, None, place / "notes.txt" / "below")
    (tmp_path / "empty").mkdir()
    save(model, None, tmp_path / "empty")
