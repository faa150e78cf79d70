"""Folders of sparsified models reload, with their own file of code and with this package, as what was saved."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import walras
from walras.errors import InputError
from walras.models import compact, inventory
from walras.models.export.modeling_sparsified import check_weights
from walras.models.tokens.runtime import sparse
from walras.models.tokens.saving import code, save_sparsified
from walras.models.tokens.token_map import token_maps


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    place = str(tmp_path_factory.mktemp("modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", place)
    monkeypatch.syspath_prepend(place)


def saved(model: Any, folder: Path, prefill: str = "dense") -> Any:
    """A sparsified model and its folder."""
    maps = token_maps(model)
    worths = {m.path: torch.rand(m.bidders, generator=torch.Generator().manual_seed(1)) for m in maps}
    market = sparse(model, maps, worths, {m.path: 0.02 / m.cost for m in maps}, prefill)
    save_sparsified(market, model, None, folder, maps, prefill=prefill, card="a card")
    return market


def loaded(folder: Path, **options: Any) -> Any:
    """A model as transformers loads it."""
    kind: Any = AutoModelForCausalLM
    return kind.from_pretrained(folder, **options).eval()


def decoded(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Logits token by token through a cache."""
    cache, rows = None, []
    with torch.no_grad():
        for t in range(ids.shape[1]):
            out = model(input_ids=ids[:, t : t + 1], past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            rows.append(out.logits)
    return torch.cat(rows, 1)


def test_every_decoder_reloads(decoder: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(decoder)
    tested.model.save_pretrained(tmp_path / "stock")
    stock = loaded(tmp_path / "stock")
    market = saved(stock, tmp_path / "e")
    ids = tested.batch["input_ids"][:1]
    expected = decoded(market, ids)
    assert not torch.allclose(expected, decoded(stock, ids), atol=1e-3)
    for again in (
        walras.load_model(tmp_path / "e"),
        loaded(tmp_path / "e", trust_remote_code=True),
    ):
        torch.testing.assert_close(decoded(again, ids), expected, rtol=1e-5, atol=1e-5)  # alignment changes last bits
        assert type(again).__name__ == f"Sparsified{type(stock).__name__}"
    assert {p.name for p in (tmp_path / "e").iterdir()} >= {
        "config.json", "model.safetensors", "modeling_sparsified.py", "README.md"
    }  # fmt: skip


@pytest.mark.nightly
def test_a_sliced_network_can_be_sparsified(tiny: Any, tmp_path: Path) -> None:
    model = tiny("llama").model
    units = inventory(model, block=8)
    keep = torch.ones(len(units), dtype=torch.bool)
    keep[[0, -1]] = False
    market = saved(compact(model, units, keep), tmp_path / "e")
    ids = tiny("llama").batch["input_ids"][:1]
    again = loaded(tmp_path / "e", trust_remote_code=True)
    torch.testing.assert_close(decoded(again, ids), decoded(market, ids), rtol=0, atol=2e-5)


def test_worths_and_prices_keep_their_type(tiny: Any, tmp_path: Path) -> None:
    market = saved(tiny("llama").model, tmp_path / "e")
    path = token_maps(tiny("llama").model)[0].path
    for again in (
        walras.load_model(tmp_path / "e", dtype=torch.bfloat16),
        walras.load_model(tmp_path / "e").bfloat16(),
    ):
        assert again.get_submodule(path).weight.dtype == torch.bfloat16
        for name in ("worth", "price"):
            assert torch.equal(again.get_submodule(path).get_buffer(name), market.get_submodule(path).get_buffer(name))


TYPES = (torch.float32, torch.bfloat16, torch.float16)


@pytest.mark.parametrize("stored", TYPES)
def test_the_hash_asks_for_no_type(stored: torch.dtype, tiny: Any, tmp_path: Path) -> None:
    saved(tiny("llama").model, tmp_path / "e")
    walras.load_model(tmp_path / "e").to(stored).save_pretrained(tmp_path / "again")
    for read in TYPES:
        assert walras.load_model(tmp_path / "again", dtype=read).dtype == read


def test_prices_of_other_weights_are_refused(tiny: Any, tmp_path: Path) -> None:
    """One weight that is traded changed, by hand; a network that was trained further is saved with its own hash."""
    market = saved(tiny("llama").model, tmp_path / "e")
    path = token_maps(tiny("llama").model)[0].path
    tensors = load_file(tmp_path / "e" / "model.safetensors")
    tensors[f"{path}.weight"][0, 0] += 1
    save_file(tensors, tmp_path / "e" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="prices of other weights"):
        loaded(tmp_path / "e", trust_remote_code=True)
    with pytest.raises(InputError, match="prices of other weights"):
        walras.load_model(tmp_path / "e")
    saved(tiny("llama").model, tmp_path / "f")
    trained = walras.load_model(tmp_path / "f")
    trained.get_submodule(path).weight.data[0, 0] += 1
    trained.save_pretrained(tmp_path / "trained")
    again = walras.load_model(tmp_path / "trained").get_submodule(path).weight
    assert again[0, 0] == market.get_submodule(path).weight[0, 0] + 1


@pytest.mark.parametrize("name", ["worth", "price"])
@pytest.mark.parametrize("value", [torch.inf, torch.nan, -1.0, None])
def test_worths_and_prices_changed_by_hand(name: str, value: float | None, tiny: Any, tmp_path: Path) -> None:
    """None: the tensor is not there."""
    saved(tiny("llama").model, tmp_path / "e")
    path = token_maps(tiny("llama").model)[0].path
    tensors = load_file(tmp_path / "e" / "model.safetensors")
    if value is None:
        del tensors[f"{path}.{name}"]
    else:
        tensors[f"{path}.{name}"].fill_(value)
    save_file(tensors, tmp_path / "e" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="prices were changed"):
        loaded(tmp_path / "e", trust_remote_code=True)
    with pytest.raises(InputError, match=f"prices were changed|{name} is missing"):
        walras.load_model(tmp_path / "e")


@pytest.mark.parametrize("name", ["worth", "price", "weight"])
def test_what_is_missing_is_refused_whatever_its_memory_holds(name: str, tiny: Any, tmp_path: Path) -> None:
    """The memory of a missing tensor is not set by anything: here it happens to hold the right values."""
    saved(tiny("llama").model, tmp_path / "e")
    model = walras.load_model(tmp_path / "e")
    check_weights(model, "e", ["lm_head.weight"])
    with pytest.raises(ValueError, match="prices were changed"):
        check_weights(model, "e", [f"{token_maps(tiny('llama').model)[0].path}.{name}"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prefill": "foo"}, "prefill is 'foo'; it must be dense or market"),
        ({"ffns": {}}, "has buyers of kind 'neurons'"),
        ({"ffns": None}, "config.json has no 'ffns' as walras sparsify writes it"),
        ({"maps": ["model.norm"]}, "config.json has no 'maps' as walras sparsify writes it"),
        ({"prefill": None}, "config.json has no 'prefill' as walras sparsify writes it"),
        ({"maps": {"model.layers.9.mlp.up_proj": "features"}}, "which this network has not"),
        ({"maps": {"model.norm": "features"}}, "model.norm, which is LlamaRMSNorm and no linear map"),
        ({"maps": {"model.layers.0.self_attn.q_proj": "all"}}, "has buyers of kind 'all'"),
        ({"ffns": {"model.layers.0.mlp": {"gate": "gate_proj"}}}, "it must have a name for each of gate, up and down"),
    ],
)
def test_a_configuration_changed_by_hand(change: dict[str, Any], said: str, tiny: Any, tmp_path: Path) -> None:
    saved(tiny("llama").model, tmp_path / "e")
    file = tmp_path / "e" / "config.json"
    told = json.loads(file.read_text())
    told["walras"]["tokens"].update(change)
    file.write_text(json.dumps(told))
    with pytest.raises(InputError, match=said):
        walras.load_model(tmp_path / "e")


@pytest.mark.filterwarnings("ignore:several sequences buy at once")  # beams
@pytest.mark.parametrize("how", [{}, {"do_sample": True}, {"num_beams": 2}, {"cache_implementation": "static"}])
def test_generation(how: dict[str, Any], tiny: Any, tmp_path: Path) -> None:
    saved(tiny("llama").model, tmp_path / "e", "market")
    model = walras.load_model(tmp_path / "e")
    torch.manual_seed(0)
    ids = tiny("llama").batch["input_ids"][:1, :4]
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, min_new_tokens=6, **how)
    assert out.shape == (1, 10)
    if not how:
        expected = decoded(model, out)
        assert torch.equal(expected[0, 3:-1].argmax(-1), out[0, 4:])


def test_several_sequences_are_computed_with_a_word(tiny: Any) -> None:
    """Each token of a batch buys as if it were alone; padding aside, nothing differs from one sequence at a time."""
    market = saved_nowhere(tiny("llama").model)
    ids = tiny("llama").batch["input_ids"][:2, :3]
    with torch.no_grad(), pytest.warns(UserWarning, match="several sequences buy at once"):
        both = market(ids).logits
    alone = torch.cat([market(row[None]).logits for row in ids])
    torch.testing.assert_close(both, alone)


def saved_nowhere(model: Any) -> Any:
    """A sparsified model in which prompts buy."""
    maps = token_maps(model)
    return sparse(model, maps, {m.path: torch.ones(m.bidders) for m in maps}, {m.path: 0.02 for m in maps}, "market")


@pytest.mark.nightly
def test_the_file_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "modeling_sparsified.py").write_text(code(), encoding="utf-8")
    line = "import modeling_sparsified as m; print(m.SparsifiedLlamaForCausalLM.__mro__[1].__name__)"
    done = subprocess.run(
        [sys.executable, "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True, env={"PATH": ""}
    )
    assert done.stdout.strip() == "SparsifiedNetwork"
    assert "walras.models" not in code()


def test_the_configuration_says_what_it_was_made_of(tiny: Any, tmp_path: Path) -> None:
    saved(tiny("llama").model, tmp_path / "e", "market")
    told = json.loads((tmp_path / "e" / "config.json").read_text())["walras"]["tokens"]
    assert told["prefill"] == "market"
    assert len(told["weights"]) == 64
    assert told["ffns"]["model.layers.0.mlp"] == {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}
