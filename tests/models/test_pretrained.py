"""Checkpoints of strangers: whatever their files say, they load, or one sentence says why not."""

import ast
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

import walras
from walras.errors import InputError
from walras.models import compact, inventory
from walras.models.export.checkpoints import save
from walras.models.loading import load

ROOT = Path(__file__).parents[2]
ROOMS = ("walras", "mechanisms", "models", "agents", "market", "experiments")
READERS = {
    "models/pretrained.py",
    "models/export/modeling_sparsified.py",  # transformers calls it; it checks what was read
    "experiments/benchmarks/peers/peer_textpruner_script.py",  # runs where Walras is not installed
    "experiments/benchmarks/small_gpt2.py",  # what it reads it has just written
    "experiments/benchmarks/experts/small_mixture.py",  # likewise
    "experiments/benchmarks/smollm2.py",  # reads the packed weights of one package
}
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz")
SIZES = {
    "vocab_size": len(WORDS), "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 16, "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0,
}  # fmt: skip
KINDS: dict[str, tuple[Any, Any]] = {
    "bert": (BertForSequenceClassification, BertConfig),
    "gpt2": (GPT2LMHeadModel, GPT2Config),
    "llama": (LlamaForCausalLM, LlamaConfig),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint of each kind, and an export."""
    place = tmp_path_factory.mktemp("checkpoints")
    for name, (kind, config) in KINDS.items():
        torch.manual_seed(0)
        model = kind(config(**SIZES)).eval()
        model.save_pretrained(place / name)
        if name == "bert":
            units = inventory(model, block=8)
            keep = torch.ones(len(units), dtype=torch.bool)
            keep[0] = False
            save(compact(model, units, keep), None, place / "export")
    for name in (*KINDS, "export"):
        BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}).save_pretrained(place / name)
    return place


def changed(folder: Path, place: Path, **entries: Any) -> Path:
    """A copy of a checkpoint with other entries in its configuration."""
    shutil.copytree(folder, place)
    file = place / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))
    return place


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"hidden_act": "evil"}, r"hidden_act is 'evil'; valid: gelu, "),
        ({"num_attention_heads": 0}, r"num_attention_heads is 0; it must be a whole number from 1 to 65536"),
        ({"num_attention_heads": 3}, r"hidden size \(8\) is not a multiple of the number of attention heads \(3\)"),
        ({"pad_token_id": 10**6}, r"pad_token_id is 1000000; it must be a whole number from -1 to 30"),
        ({"hidden_size": 4 * 10**15}, r"hidden_size is 4000000000000000; it must be a whole number from 1 to 67108864"),
        ({"hidden_size": 10**6}, r"\(hidden_size 1000000, .*\) it has 5,\d+,\d+,\d+,\d+ parameters, and its files"),
        ({"max_position_embeddings": 6 * 10**7}, r"max_position_embeddings 60000000\) it has"),
        ({"vocab_size": 10**7}, r"vocab_size 10000000, "),
        ({"num_hidden_layers": "2"}, r"num_hidden_layers is '2'; it must be a whole number"),
        ({"num_hidden_layers": 10**9}, r"num_hidden_layers is 1000000000; it must be a whole number from 1 to 4096"),
        ({"num_hidden_layers": 4000}, r"num_hidden_layers is 4,000 in its config\.json; it has \d+ weights"),
        ({"num_labels": 10**12}, r"num_labels is 1000000000000"),
        ({"layer_norm_eps": float("nan")}, r"layer_norm_eps is nan; it must be a finite number"),
        ({"layer_norm_eps": "x"}, r"'layer_norm_eps' expected float, got str \(value: 'x'\)"),
        ({"extra": {"a": [1, 10**400]}}, "holds a number of more than 300 digits"),
        ({"model_type": "t5"}, r"unknown family 't5'\."),
        ({"model_type": ["bert"]}, r"model_type is \['bert'\]; it must be a text"),
        ({"model_type": None}, r"model type `None`"),
        ({"architectures": [5]}, r"architectures holds 5; it must hold texts"),
        ({"dtype": "evil"}, r"has no attribute 'evil'"),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}, r"quantised \(bitsandbytes"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"quantised \(gptq"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, r"quantised \(awq"),
        ({"quantization_config": {"quant_method": "evil"}}, r"quantised \(evil"),
        ({"quantization_config": 5}, r"cannot load model .*'int' object"),
    ],
)
def test_a_configuration_that_makes_no_network(
    folders: Path, tmp_path: Path, entries: dict[str, Any], message: str
) -> None:
    place = changed(folders / "bert", tmp_path / "model", **entries)
    with pytest.raises(InputError, match=message) as told:
        load(str(place), device="cpu")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"n_head": 0}, "n_head is 0; it must be a whole number from 1"),
        ({"n_layer": "2"}, "n_layer is '2'"),
        ({"n_embd": 4 * 10**15}, "n_embd is 4000000000000000"),
        ({"activation_function": "evil"}, "activation_function is 'evil'; valid: "),
    ],
)
def test_names_of_the_family(folders: Path, tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(str(changed(folders / "gpt2", tmp_path / "model", **entries)), device="cpu")


def test_keys_and_rotations_of_llama(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="num_key_value_heads is 0"):
        load(str(changed(folders / "llama", tmp_path / "a", num_key_value_heads=0)), device="cpu")
    with pytest.raises(InputError, match=r"cannot load model '.*/b': KeyError: 'evil'"):
        load(str(changed(folders / "llama", tmp_path / "b", rope_parameters={"rope_type": "evil"})), device="cpu")


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def cut(name: str, size: int) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


@pytest.mark.parametrize("reader", ["load", "load_model"])
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (write("config.json", b'{"a": ' + b"[" * 10**5 + b"]" * 10**5 + b"}"), "nested too deeply"),
        (write("config.json", b"[]"), r"holds \[\]; it must map names to values|is no export"),
        (write("config.json", b"null"), r"holds None; it must map names to values|is no export"),
        (write("config.json", b"\xff\xfe"), "cannot read .*can't decode byte 0xff"),
        (cut("config.json", 20), "cannot read "),
        (cut("model.safetensors", 2000), "cannot read weights '.*': .*deserializing header"),
        (write("model.safetensors", b""), "cannot read weights '.*': .*header too small"),
    ],
)
def test_torn_files(folders: Path, tmp_path: Path, reader: str, edit: Callable[[Path], object], message: str) -> None:
    place = tmp_path / "model"
    shutil.copytree(folders / ("bert" if reader == "load" else "export"), place)
    edit(place)
    with pytest.raises(InputError, match=message):
        load(str(place), device="cpu") if reader == "load" else walras.load_model(place)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b"[]"),
        ("tokenizer.json", b'{"model": 5, "added_tokens": []}'),
        ("tokenizer_config.json", b"[]"),
        ("tokenizer_config.json", b'{"tokenizer_class": 5}'),
    ],
)
def test_tokenizers_of_strangers(folders: Path, tmp_path: Path, name: str, content: bytes) -> None:
    place = tmp_path / "model"
    shutil.copytree(folders / "bert", place)
    (place / name).write_bytes(content)
    with pytest.raises(InputError, match=r"tokenizer of model '.*/model'"):
        load(str(place), device="cpu")


ENTRIES = sorted(set().union(*(config(**SIZES).to_dict() for _, config in KINDS.values())))
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 70), st.integers(), st.sampled_from([2**31, 2**53, 10**15, 10**400]),
    st.floats(), st.text(max_size=6), st.lists(st.integers(0, 9) | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3) | st.just("rope_type"), st.integers(0, 9) | st.text(max_size=3), max_size=2),
)  # fmt: skip
FURTHER = ("head_dim", "num_labels", "per_layer_config", "walras", "auto_map", "quantization_config", "id2label")


@settings(max_examples=2 * settings().max_examples)
@given(
    st.sampled_from([*KINDS, "export"]), st.dictionaries(st.sampled_from([*ENTRIES, *FURTHER]), VALUES, min_size=1,
    max_size=3),
)  # fmt: skip
def test_any_entry_loads_or_is_refused(
    folders: Path, tmp_path_factory: pytest.TempPathFactory, name: str, entries: dict[str, Any]
) -> None:
    place = changed(folders / name, tmp_path_factory.mktemp("any") / "model", **entries)
    with suppress(InputError):
        walras.load_model(place) if name == "export" else load(str(place), device="cpu")
    shutil.rmtree(place.parent)


def test_all_that_is_read_with_transformers_is_read_in_one_place() -> None:
    found = set()
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            text = file.read_text()
            tree = ast.walk(ast.parse(text)) if "from_pretrained" in text else ()
            calls = (node for node in tree if isinstance(node, ast.Call))
            names = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)}
            if "from_pretrained" in names:
                found.add(file.relative_to(ROOT).as_posix())
    assert found == READERS


def test_weights_that_are_no_numbers(folders: Path, tmp_path: Path) -> None:
    place = changed(folders / "bert", tmp_path / "model")
    tensors = load_file(place / "model.safetensors")
    name = next(name for name in sorted(tensors) if "query.weight" in name)
    tensors[name][0, 0] = torch.nan
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"has weights that are not finite numbers, in .*query\.weight"):
        load(str(place), device="cpu")


def test_an_index_of_weights_stays_in_its_folder(folders: Path, tmp_path: Path) -> None:
    place = changed(folders / "bert", tmp_path / "model")
    (place / "model.safetensors").rename(tmp_path / "other.safetensors")
    names = load_file(tmp_path / "other.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "../other.safetensors")}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"leads out of its folder: '\.\./other\.safetensors'; valid: names of files"):
        load(str(place), device="cpu")
    for odd in ("[]", '{"weight_map": [1]}', '{"weight_map": {"a": 7}}', "{"):
        (place / "model.safetensors.index.json").write_text(odd)
        with pytest.raises(InputError, match="index of weights"):
            load(str(place), device="cpu")
