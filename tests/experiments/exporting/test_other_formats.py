"""`walras export --stock`, `--gguf` and `--onnx`: folders without code of ours, and files for other programs."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from exported import logits
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.decoders import ByteLevel
from tokenizers.models import BPE

import walras as face

Walras = Callable[..., Any]


@pytest.mark.nightly
def test_as_a_model_of_transformers_itself(run: Callable[..., Path], walras: Walras, models: Path) -> None:
    """Where nothing has left, layers are alike; half of a run leaves layers that differ, or heads that are tied."""
    answer = walras("export", run("bert", "--budget", 1), "--out", "small", "--stock")
    assert 'from_pretrained("small")' in answer.out
    assert not Path("small/modeling_walras.py").exists()
    assert "trust_remote_code" not in Path("small/README.md").read_text()
    expected = logits(transformers.AutoModel.from_pretrained(models / "bert"))
    assert torch.equal(logits(transformers.AutoModel.from_pretrained("small")), expected)
    assert torch.equal(logits(face.load_model("small")), expected)
    assert walras("export", "run-bert", "--out", "small", "--overwrite").code == 0
    assert Path("small/modeling_walras.py").is_file()
    message = walras("export", run("bert"), "--out", "other", "--stock").error
    assert message.startswith("--stock: ")
    assert message.endswith("without --stock it is exported with a file of code, and loads with trust_remote_code=True")
    assert not Path("other").exists()


def test_gguf_of_other_families_and_without_its_package(
    run: Callable[..., Path], walras: Walras, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run("gpt2")
    if importlib.util.find_spec("gguf") is not None:
        message = walras("export", folder, "--out", "small", "--gguf").error
        assert "--gguf writes Llama-like decoders, and this is a GPT2LMHeadModel" in message
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "walras.models.export.gguf_file.importlib.util.find_spec", lambda n: None if n == "gguf" else find(n)
    )
    assert "--gguf needs gguf: pip install '.[gguf]'" in walras("export", folder, "--out", "small", "--gguf").error
    assert not Path("small").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_gguf(lines: Path, no_pictures: None, walras: Walras) -> None:
    gguf = pytest.importorskip("gguf")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw: Any = Tokenizer(BPE(vocab={text: i for i, text in enumerate(alphabet)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = ByteLevel()
    fast: Any = transformers.PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=raw, eos_token="<end>")
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    config = transformers.LlamaConfig(
        **sizes, intermediate_size=64, vocab_size=len(tokenizer), max_position_embeddings=128, eos_token_id=256
    )
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained("dense")
    tokenizer.save_pretrained("dense")
    base = ("--task", "text", "--data", lines, "--recipe", "none", "--rounds", 1, "--block", 8, "--out", "run")
    assert walras("run", "--model", "dense", *base, "--length", 16).code == 0
    answer = walras("export", "run", "--out", "small", "--gguf")
    assert "model.gguf is of architecture " in answer.out
    small = face.load_model("small")
    reader = gguf.GGUFReader("small/model.gguf")
    found = {tensor.name: torch.from_numpy(tensor.data.copy()) for tensor in reader.tensors}
    assert torch.equal(found["token_embd.weight"], small.model.embed_tokens.weight)
    for layer in (0, 1):
        own = small.model.layers[layer].mlp.down_proj.weight
        assert own.numel() == 0 or torch.equal(found[f"blk.{layer}.ffn_down.weight"], own)
    assert "model.gguf" in json.loads(Path("small/config.json").read_text())["walras"]["files"]


def test_onnx_without_its_packages(run: Callable[..., Path], walras: Walras, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run()
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "walras.models.export.onnx_file.importlib.util.find_spec", lambda n: None if n == "onnxruntime" else find(n)
    )
    message = walras("export", folder, "--out", "small", "--onnx").error
    assert "onnxruntime: pip install '.[onnx]'" in message
    assert not Path("small").exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.nightly
@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_onnx(run: Callable[..., Path], walras: Walras, name: str) -> None:
    import onnxruntime

    folder = run(name)
    figures = json.loads(walras("export", folder, "--out", "small", "--onnx", "--json").out)
    assert figures["onnx_difference"] < 1e-4
    session = onnxruntime.InferenceSession("small/model.onnx")
    tokenizer = transformers.AutoTokenizer.from_pretrained("small")
    batch = tokenizer(["the cat sat on the mat", "a dog"], padding=True, return_tensors="pt")
    wanted = {entry.name for entry in session.get_inputs()}
    assert wanted == set(batch)
    (found,) = session.run(None, {k: v.numpy() for k, v in batch.items()})
    with torch.no_grad():
        expected = face.load_model("small")(**batch)[0]
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(torch.from_numpy(found)[real], expected[real], rtol=0, atol=1e-4)
