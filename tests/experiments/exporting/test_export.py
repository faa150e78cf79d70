"""`walras export`: from a run folder to a folder that transformers loads, and what can be wrong with either."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from exported import logits, stock
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

import walras as face
from walras.errors import InputError
from walras.experiments.pipeline import run_spec
from walras.experiments.spec import RunSpec

Walras = Callable[..., Any]


@pytest.mark.parametrize(
    ("name", "auto"),
    [
        ("bert", transformers.AutoModel),
        pytest.param("gpt2", transformers.AutoModelForCausalLM, marks=pytest.mark.nightly),
        ("classifier", transformers.AutoModelForSequenceClassification),
    ],
)
def test_from_run_to_folder_and_back(
    run: Callable[..., Path], walras: Walras, models: Path, name: str, auto: Any
) -> None:
    folder = run(name)
    answer = walras("export", folder, "--out", "small", "--json")
    figures = json.loads(answer.out)
    small = stock(folder, models, name, auto)
    expected = logits(small)
    assert torch.equal(logits(face.load_model("small")), expected)
    assert torch.equal(logits(auto.from_pretrained("small", trust_remote_code=True)), expected)
    dense = auto.from_pretrained(models / name)
    assert figures["parameters"] == sum(p.numel() for p in small.parameters())
    assert figures["dense_parameters"] == sum(p.numel() for p in dense.parameters()) > figures["parameters"]
    assert figures["bytes"]["model.safetensors"] < (models / name / "model.safetensors").stat().st_size
    told = json.loads(Path("small/config.json").read_text())["per_layer_config"]
    units = load_arrays(folder / "allocation.safetensors")
    for layer in (0, 1):
        kept = (units["gate"] > 0) & (units["layer"] == layer)
        assert told[str(layer)]["attention_heads"] == int((kept & (units["kind"] == 0)).sum())
        assert told[str(layer)]["ffn_neurons"] == int(units["width"][kept & (units["kind"] == 1)].sum())
    tokens = transformers.AutoTokenizer.from_pretrained("small")("the cat sat")["input_ids"]
    assert tokens == transformers.AutoTokenizer.from_pretrained(models / name)("the cat sat")["input_ids"]


@pytest.mark.parametrize(
    ("name", "auto", "recipe"),
    [
        ("bert", transformers.AutoModel, "walras"),
        ("gpt2", transformers.AutoModelForCausalLM, "walras"),
        ("llama", transformers.AutoModelForCausalLM, "flap"),  # whose output projections have no biases
    ],
)
def test_a_repaired_run(
    walras: Walras, models: Path, lines: Path, no_pictures: None, name: str, auto: Any, recipe: str
) -> None:
    """What is exported from the folder is the gated and repaired network of the run."""
    given = {"recipe": recipe, "model": str(models / name), "task": "text", "data": str(lines), "block": 8}
    result = run_spec(RunSpec.parse({**given, "batch_size": 2}), Path("run"))
    assert walras("export", "run", "--out", "small").code == 0
    with result.gated() as model:
        expected = logits(model)
    torch.testing.assert_close(logits(face.load_model("small")), expected, rtol=0, atol=1e-5)
    again = auto.from_pretrained("small", trust_remote_code=True)
    torch.testing.assert_close(logits(again), expected, rtol=0, atol=1e-5)
    unrepaired = logits(stock(Path("run"), models, name, auto))
    assert float((unrepaired - expected).abs().max()) > 1e-3


def test_the_model_card(run: Callable[..., Path], walras: Walras) -> None:
    folder = run()
    walras("export", folder, "--out", "small")
    text = Path("small/README.md").read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front) == {"library_name": "transformers", "tags": ["walras", "structured-pruning"]}
    result = json.loads((folder / "result.json").read_text())
    metric = result["metric"]
    assert f"| {metric['name']} (text) | {metric['dense']:.4f} | {metric['value']:.4f} |" in body
    assert f"| parameters | {result['dense_parameters']:,} | {result['parameters']:,} |" in body
    assert f"| megabytes of weights | {result['dense_bytes'] / 1e6:.3f} | {result['bytes'] / 1e6:.3f} |" in body
    assert "milliseconds" not in body  # nobody measured them
    assert "budget 0.5" in body
    assert "mechanism `ShadowPrice`, valuation `fisher`, seed 0" in body
    told = json.loads(Path("small/config.json").read_text())["per_layer_config"]
    assert f"| 1 | {told['1']['attention_heads']} of 4 | {told['1']['ffn_neurons']} of 64 |" in body
    code = body.split("```python\n")[1].split("```")[0]
    scope: dict[str, Any] = {}
    exec(code, scope)
    assert type(scope["model"]).__name__ == "SlicedBertModel"


def forget_hashes(folder: Path) -> None:
    """Make a run one of an earlier version, which kept no hashes."""
    result = json.loads((folder / "result.json").read_text())
    assert set(result.pop("files")) >= {"allocation.safetensors"}
    (folder / "result.json").write_text(json.dumps(result))


@pytest.mark.nightly
def test_repaired_weights_go_in(run: Callable[..., Path], walras: Walras, models: Path) -> None:
    folder = run()
    small = stock(folder, models, "bert", transformers.AutoModel)
    name = "encoder.layer.1.output.dense.weight"
    repaired = small.state_dict()[name] * 2 + 1
    save_file({name: repaired}, folder / "weights.safetensors")
    assert "was not written by the run: result.json has no hash" in walras("export", folder, "--out", "small").error
    forget_hashes(folder)
    assert walras("export", folder, "--out", "small").code == 0
    small.load_state_dict({**small.state_dict(), name: repaired})
    assert torch.equal(logits(face.load_model("small")), logits(small))
    for tensors, message in (
        ({name: repaired[:, :-1].contiguous()}, rf"{name} \[32, \d+\] does not fit .* \[32, \d+\] there"),
        ({"encoder.layer.7.x": repaired}, r"encoder\.layer\.7\.x .* has no such tensor"),
    ):
        save_file(tensors, folder / "weights.safetensors")
        assert re.search(message, walras("export", folder, "--out", "other").error)
    (folder / "weights.safetensors").write_bytes(b"x" * 99)
    assert (
        "cannot read repaired weights 'run-bert/weights.safetensors'"
        in walras("export", folder, "--out", "other").error
    )
    assert not Path("other").exists()


def test_a_repair_that_found_nothing_to_change_leaves_no_weights(
    run: Callable[..., Path], walras: Walras, models: Path
) -> None:
    """As scales that are held to 1: the run is exported as the slices that it left."""
    folder = run("bert", "--repair", "scales:damping=1e30")
    assert not (folder / "weights.safetensors").exists()
    assert walras("export", folder, "--out", "small").code == 0
    assert torch.equal(logits(face.load_model("small")), logits(stock(folder, models, "bert", transformers.AutoModel)))
    forget_hashes(folder)
    assert "its weights.safetensors is missing" in walras("export", folder, "--out", "other").error


def test_weights_of_another_network_do_not_go_in(run: Callable[..., Path], walras: Walras, models: Path) -> None:
    """Of the same shape, where the run found its own: by another path in its settings, or trained meanwhile."""
    folder = run()
    torch.manual_seed(1)
    auto: Any = transformers.AutoModel
    other = auto.from_config(transformers.AutoConfig.from_pretrained(models / "bert"))
    shutil.copytree(models / "bert", "elsewhere")
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace(str(models / "bert"), "elsewhere"))
    assert walras("export", folder, "--out", "small").code == 0  # the same weights at another place
    other.save_pretrained("elsewhere")
    found = walras("export", folder, "--out", "other").error
    assert "model 'elsewhere' has other weights than when run 'run-bert' was made of it" in found


@pytest.mark.nightly
def test_an_export_can_be_run_and_exported_again(run: Callable[..., Path], walras: Walras, lines: Path) -> None:
    assert walras("export", run(), "--out", "small").code == 0
    base = ("--task", "text", "--data", lines, "--rounds", 1, "--block", 8, "--out", "again", "--budget", 0.6)
    assert walras("run", "--model", "small", *base).code == 0
    figures = json.loads(walras("export", "again", "--out", "smaller", "--json").out)
    first = json.loads(Path("again/result.json").read_text())
    assert (
        figures["parameters"] == sum(p.numel() for p in face.load_model("smaller").parameters()) == first["parameters"]
    )
    assert (
        figures["parameters"]
        < figures["dense_parameters"]
        == sum(p.numel() for p in face.load_model("small").parameters())
    )


def test_from_python(models: Path, lines: Path, no_pictures: None, walras: Walras) -> None:
    model = transformers.AutoModel.from_pretrained(models / "bert")
    tokenizer = transformers.AutoTokenizer.from_pretrained(models / "bert")
    texts = lines.read_text().splitlines()
    result = face.run(model, tokenizer, texts, budget=0.5, recipe="none", rounds=1, block=8, sentences=8, out="mine")
    result.export("small")
    assert torch.equal(logits(face.load_model("small")), logits(result.compact()))
    assert Path("small/tokenizer.json").is_file()
    with pytest.raises(InputError, match="use --overwrite"):
        result.export("small")
    assert "was made from Python on a BertModel of your own" in walras("export", "mine", "--out", "other").error


@pytest.mark.nightly
def test_runs_that_cannot_be_exported(run: Callable[..., Path], walras: Walras, models: Path) -> None:
    folder = run()
    changed = Path(shutil.copytree(folder, "changed"))
    (changed / "allocation.safetensors").write_bytes(b"x" * 99)
    assert "was changed after the run: result.json has another" in walras("export", "changed", "--out", "small").error
    forget_hashes(folder)

    def refused(change: Callable[[Path], object]) -> str:
        shutil.rmtree("broken", ignore_errors=True)
        shutil.copytree(folder, "broken")
        change(Path("broken"))
        message: str = walras("export", "broken", "--out", "small").error
        assert not Path("small").exists()
        return message

    assert "'nowhere' holds no run: there is no result.json" in walras("export", "nowhere", "--out", "small").error
    assert "holds no run" in walras("export", models / "bert", "--out", "small").error
    assert "'broken' has not finished" in refused(lambda f: (f / "result.json").unlink())
    assert "cannot read result" in refused(lambda f: (f / "result.json").write_text("{"))
    assert "its result.json has no 'metric'" in refused(lambda f: (f / "result.json").write_text("{}"))
    assert "has no allocation.safetensors" in refused(lambda f: (f / "allocation.safetensors").unlink())
    assert "has no config.yaml" in refused(lambda f: (f / "config.yaml").unlink())
    assert "unknown setting 'x'" in refused(lambda f: (f / "config.yaml").write_text("x: 1"))
    assert "cannot read allocation" in refused(lambda f: (f / "allocation.safetensors").write_bytes(b"x" * 99))
    columns = load_arrays(folder / "allocation.safetensors")
    for change, message in (
        ({"block": "8", "drop": 1}, "its column 'kind' [23] is not that of the model's 24 units"),
        ({"block": "16", "drop": 0}, "its column 'kind' [24] is not that of the model's 16 units"),
        ({"drop": 0}, "tells no units: KeyError('block'); it is no allocation of a run"),
    ):
        fewer = {k: v[int(str(change["drop"])) :].copy() for k, v in columns.items()}
        told = {k: str(v) for k, v in change.items() if k == "block"}
        found = refused(lambda f, a=fewer, b=told: save_arrays(a, f / "allocation.safetensors", metadata=b))  # type: ignore[misc]
        assert message in found, found
    assert "cannot load model 'gone'" in refused(
        lambda f: (f / "config.yaml").write_text((f / "config.yaml").read_text().replace(str(models / "bert"), "gone"))
    )


def test_targets(run: Callable[..., Path], walras: Walras, models: Path) -> None:
    folder = run()
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    assert "which no export wrote; choose another folder" in walras("export", folder, "--out", folder).error
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before
    assert "which no export wrote" in walras("export", folder, "--out", models / "bert", "--overwrite").error
    assert walras("export", folder, "--out", "small").code == 0
    assert "holds another export; use --overwrite" in walras("export", folder, "--out", "small").error
    assert walras("export", folder, "--out", "small", "--overwrite").code == 0
    assert sorted(p.name for p in Path().iterdir()) == ["run-bert", "small"]


def test_an_interrupt_leaves_the_old_one(
    run: Callable[..., Path], walras: Walras, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run()
    assert walras("export", folder, "--out", "small").code == 0
    before = {p.name: p.read_bytes() for p in Path("small").iterdir()}

    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("walras.models.export.checkpoints.shutil.copyfile", stop)
    answer = walras("export", folder, "--out", "small", "--overwrite")
    assert answer.code == 130
    assert answer.err.endswith("Interrupted; small is as it was\n")
    assert {p.name: p.read_bytes() for p in Path("small").iterdir()} == before
    assert sorted(p.name for p in Path().iterdir()) == ["run-bert", "small"]


@pytest.mark.nightly
def test_the_benchmark_of_speed(run: Callable[..., Path], walras: Walras, models: Path) -> None:
    from walras.experiments.benchmarks.speed.export_speed import COLUMNS, main

    folder = run()
    assert walras("export", folder, "--out", "small").code == 0
    main(
        [folder, Path("small")],
        model=str(models / "bert"),
        batch=[2],
        length=16,
        passes=2,
        device="cpu",
        out=Path("t.csv"),
    )
    lines = [line.split(",") for line in Path("t.csv").read_text().splitlines()]
    assert lines[0] == COLUMNS
    first, second = (dict(zip(COLUMNS, line, strict=True)) for line in lines[1:])
    assert first["mac_ratio"] == second["mac_ratio"]
    assert float(first["mac_ratio"]) >= 2
    assert first["bytes"] == second["bytes"] == str(Path("small/model.safetensors").stat().st_size)
    ideal = float(first["speedup"]) / float(first["mac_ratio"])
    assert float(first["speedup_share"]) == pytest.approx(ideal, rel=1e-4)
    with pytest.raises(SystemExit):
        main([Path("small")], model=None, batch=None, length=16, passes=1, device="cpu", out=Path("u.csv"))
    assert not Path("u.csv").exists()
