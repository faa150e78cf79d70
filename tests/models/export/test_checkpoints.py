"""What a checkpoint of each family reloads to: as its stock class, as `walras.load_model`, and exported again."""

import ast
import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray

from walras.errors import InputError
from walras.models import Inventory, compact, inventory
from walras.models.attention import Softmax, attention_market
from walras.models.export.checkpoints import CODE, auto_class, save
from walras.models.export.reloading import load_model
from walras.models.loading import Head
from walras.models.loading import load as load_any

Keep = NDArray[np.bool_]
CLASSES: dict[bool, Any] = {
    True: transformers.AutoModelForCausalLM,
    False: transformers.AutoModelForSequenceClassification,
}


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
    if "input_features" in tested.batch:
        kind = transformers.AutoModelForSpeechSeq2Seq
    return kind.from_pretrained(folder, trust_remote_code=True, attn_implementation=attention).eval()


@pytest.mark.spread
@pytest.mark.parametrize("which", [1, *(pytest.param(mask, marks=pytest.mark.nightly) for mask in (0, 2))])
def test_what_is_reloaded_gives_the_same_logits(
    every_family: str, kernel: str, which: int, tiny: Any, tmp_path: Path
) -> None:
    """Begins with what `from_pretrained` read, as users do: such a model remembers other names for its weights."""
    tested = tiny(every_family, kernel)
    tested.model.save_pretrained(tmp_path / "stock")
    stock = type(tested.model).from_pretrained(tmp_path / "stock", attn_implementation=kernel).eval()
    units = inventory(stock, block=8)
    with torch.no_grad():
        assert torch.equal(tested.logits(stock), tested.logits())
        for keep in masks(units)[which : which + 1]:
            small = compact(stock, units, keep)
            expected = tested.logits(small)
            save(small, None, tmp_path / "small", overwrite=True)
            ours = load_model(tmp_path / "small", attn_implementation=kernel)
            theirs = remote(tested, tmp_path / "small", kernel)
            assert torch.equal(tested.logits(ours), expected)
            assert torch.equal(tested.logits(theirs), expected)
            assert not type(theirs).__module__.startswith("walras")
            assert not theirs.training
            assert [p.numel() for p in ours.parameters()] == [p.numel() for p in small.parameters()]


@pytest.mark.spread
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


@pytest.mark.spread
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


@pytest.mark.parametrize("trusted", [None, False])
def test_without_trust_it_fails_at_once_and_says_what_to_do(
    trusted: bool | None, tiny: Any, tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing was cut: a class of transformers would load weights that do not fit as random ones."""
    tested = tiny("bert")
    monkeypatch.setattr("builtins.input", lambda *_: (_ for _ in ()).throw(EOFError))  # nobody is asked in tests
    save(tested.model, tokenizer, tmp_path / "small")
    for auto in (transformers.AutoModelForSequenceClassification, transformers.AutoModel, transformers.AutoConfig):
        with pytest.raises(ValueError, match=r"Please pass the argument `trust_remote_code=True`"):
            auto.from_pretrained(tmp_path / "small", trust_remote_code=trusted)
    found: Any = transformers.AutoTokenizer.from_pretrained(tmp_path / "small", trust_remote_code=trusted)
    assert found("a a")["input_ids"] == tokenizer("a a")["input_ids"]


def test_an_export_of_an_earlier_version_still_loads(tiny: Any, tmp_path: Path) -> None:
    """It has the stock `model_type`, no class for its configuration, and matrices without numbers of another shape."""
    tested = tiny("gpt2")
    units = inventory(tested.model, block=8)
    small = compact(tested.model, units, masks(units)[1])
    save(small, None, tmp_path / "small")
    file = tmp_path / "small" / "config.json"
    told = json.loads(file.read_text())
    del told["auto_map"]["AutoConfig"], told["num_hidden_layers"]
    told["model_type"] = told["walras"].pop("family")
    file.write_text(json.dumps(told))
    with torch.no_grad():
        found = load_model(tmp_path / "small", attn_implementation="eager")
        assert torch.equal(tested.logits(found), tested.logits(small))


BARE = ("gpt_neox", "vit", "deit")
"""Families whose base classes, or untied heads, have other names for their weights in files."""


@pytest.mark.parametrize("kind", BARE)
def test_classes_whose_weights_have_other_names_in_files(kind: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(kind)
    auto: Any = transformers.AutoModelForCausalLM if tested.decoder else transformers.AutoModel
    config = copy.deepcopy(tested.model.config)
    config.tie_word_embeddings = False
    auto.from_config(config).save_pretrained(tmp_path / "stock")
    stock = auto.from_pretrained(tmp_path / "stock", attn_implementation="eager").eval()
    assert stock._weight_conversions
    units = inventory(stock, block=8)
    small: Any = compact(stock, units, masks(units)[0])
    save(small, None, tmp_path / "small")
    options = {"attn_implementation": "eager"}
    with torch.no_grad():
        expected = small(**tested.batch)[0]
        assert torch.equal(load_model(tmp_path / "small", **options)(**tested.batch)[0], expected)
        theirs = auto.from_pretrained(tmp_path / "small", trust_remote_code=True, **options).eval()
        assert torch.equal(theirs(**tested.batch)[0], expected)


HEADS = (
    ("bert", "AutoModelForMultipleChoice"),
    ("bert", "AutoModelForNextSentencePrediction"),
    ("vit", "AutoModelForMaskedImageModeling"),
)


@pytest.mark.parametrize(("kind", "auto"), HEADS)
def test_less_usual_heads_load_by_their_auto_class(kind: str, auto: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(kind)
    config = copy.deepcopy(tested.model.config)
    config.encoder_stride = getattr(config, "patch_size", None)
    cls: Any = getattr(transformers, auto)
    model = cls.from_config(config).eval()
    units = inventory(model, block=8)
    small: Any = compact(model, units, masks(units)[0])
    save(small, None, tmp_path / "small")
    assert auto_class(small) == auto
    batch = {k: v.unsqueeze(0) for k, v in tested.batch.items()} if "Choice" in auto else tested.batch
    with torch.no_grad():
        expected = small(**batch)[0]
        assert torch.equal(load_model(tmp_path / "small", attn_implementation="eager")(**batch)[0], expected)
        theirs = cls.from_pretrained(tmp_path / "small", trust_remote_code=True, attn_implementation="eager").eval()
        assert torch.equal(theirs(**batch)[0], expected)


@pytest.mark.nightly
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
def test_an_export_is_a_model_like_any_other(
    kind: str, head: Head, name: str, tiny: Any, tmp_path: Path, tokenizer: Any
) -> None:
    tested = tiny(kind)
    units = inventory(tested.model, block=8)
    save(compact(tested.model, units, masks(units)[0]), tokenizer, tmp_path / "small")
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


def test_an_export_without_the_head_that_is_needed(tiny: Any, tmp_path: Path, tokenizer: Any) -> None:
    save(tiny("gpt2").model, tokenizer, tmp_path / "small")
    with pytest.raises(InputError, match=r"no trained weights for score\.weight .*needs one that was fine-tuned"):
        load_any(str(tmp_path / "small"), "classification", device="cpu")
    save(tiny("distilbert").model, tokenizer, tmp_path / "other")
    with pytest.raises(InputError, match=r"other. is an encoder \(distilbert\); this task needs a decoder"):
        load_any(str(tmp_path / "other"), "causal", device="cpu")
