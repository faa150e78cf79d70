"""Runs on pictures, from a folder and from Python: metric, calibration, tokens, exports, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, Dinov2ForImageClassification, Dinov2Model, ViTImageProcessorPil

import walras
from walras.errors import InputError, UnknownNameError
from walras.experiments.spec import SubjectSpec
from walras.experiments.subjects.subject import Subject
from walras.experiments.tasks import TASKS
from walras.experiments.tasks.images import neighbours
from walras.experiments.tasks.losses import PictureEmbeddings
from walras.models.export.reloading import load_model
from walras.models.loading import load
from walras.models.processors import SIDE as DEFAULT
from walras.models.processors import pixel_values

SIDE, TOKENS = 16, 17  # as in conftest.py
QUICK: dict[str, Any] = {"budget": 0.6, "rounds": 1, "sentences": 8, "batch_size": 4, "block": 8}
Make = Callable[..., Path]


def task_of(place: Path, **more: Any) -> Any:
    return TASKS.make({"name": "images", "size": SIDE, "k": 3, **more}, data=str(place))


def grey(value: int, width: int = 20, height: int = 20) -> Any:
    return Image.fromarray(np.full((height, width), value, dtype=np.uint8))


def test_neighbours_vote_and_the_nearer_ones_break_ties() -> None:
    """Of the four nearest to (1, 0) two are of class 0 and two of class 2; those of class 2 are nearer."""
    angles = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).deg2rad() * 90
    among = torch.stack([angles.cos(), angles.sin()], 1)
    classes = torch.tensor([2, 0, 2, 0, 1, 1])
    row = torch.tensor([[1.0, 0.0]])
    assert neighbours(row, among, classes, 4).tolist() == [2]
    assert neighbours(row, among, torch.tensor([0, 0, 2, 2, 1, 1]), 4).tolist() == [0]
    assert neighbours(row, among, torch.tensor([2, 1, 1, 0, 1, 1]), 3).tolist() == [1]  # more votes beat a nearer one
    assert neighbours(row, -among, classes, 1).tolist() == [1]  # all cosines are negative


def test_a_run_by_name(pictures: Make, vision: Path, no_pictures: None, tmp_path: Path) -> None:
    """From a folder with two splits to an export that is loaded again, with transformers' own code and with ours."""
    place = pictures(6, "train", "test")
    out = walras.run(
        str(vision), task=f"images:size={SIDE},k=3", data=str(place), out=tmp_path / "run", **QUICK
    )  # fmt: skip
    summary = out.summary
    assert summary.metric.name == "nearest neighbours"
    assert summary.metric.dense == 1.0  # dark and bright pictures are far apart
    assert summary.length == TOKENS
    assert summary.recipe == "walras"
    assert summary.protocol == {
        "pictures": 12, "size": "16 x 16", "embedding": "first", "to calibrate on": 12, "k": 3,
        "neighbours among": 12,
    }  # fmt: skip
    assert summary.dense_macs == 2 * (4 * 24 * 24 * TOKENS + 2 * TOKENS * TOKENS * 24 + 2 * 24 * 48 * TOKENS)
    out.export(tmp_path / "small")
    batch = pixel_values(None, [grey(90)], SIDE)
    with torch.no_grad(), out.gated() as model:
        wanted = model(pixel_values=batch).last_hidden_state
    for found in (
        load_model(tmp_path / "small"),
        AutoModel.from_pretrained(tmp_path / "small", trust_remote_code=True).eval(),
        load(str(tmp_path / "small"), "images").model,
    ):
        with torch.no_grad():
            torch.testing.assert_close(found(pixel_values=batch).last_hidden_state, wanted, rtol=0, atol=1e-5)
    assert "AutoTokenizer" not in (tmp_path / "small" / "README.md").read_text(encoding="utf-8")
    again = walras.run(str(tmp_path / "small"), task=f"images:size={SIDE},k=3", data=str(place), **QUICK)
    assert again.metric.dense == pytest.approx(summary.metric.value)


def test_the_command(pictures: Make, vision: Path, walras: Any, no_pictures: None) -> None:
    place = pictures(6)
    base = ("--model", vision, "--recipe", "none", "--rounds", 1, "--block", 8, "--valuation", "magnitude")
    answer = walras("run", "--task", f"images:folder={place},size={SIDE},k=1", *base, "--out", "r", "--json")
    assert (answer.code, answer.err) == (0, "")
    answer = walras("export", "r", "--out", "small")
    assert answer.code == 0, answer.err
    answer = walras("run", "--task", "images", "--data", place / "none", *base)
    assert "is no folder; task images needs one" in answer.error
    answer = walras("run", "--task", "images", *base)
    assert answer.error.startswith("task images needs a folder of pictures or IDX files: --data FOLDER")


def test_without_classes_and_from_python(vision: Path) -> None:
    """Pictures of any size and mode, as objects; the figure is the cosine to the dense network, which has 1."""
    model, processor = (
        load(str(vision), "images", device="cpu").model,
        ViTImageProcessorPil(size={"height": 16, "width": 16}),
    )
    given = [grey(20 * i, 20 + i, 30 - i) for i in range(10)]
    given[3] = given[3].convert("RGBA")
    given[4] = given[4].convert("1")
    given[5] = np.asarray(given[5])
    result = walras.run(model, processor, given, recipe="none", label_free=True, **{**QUICK, "batch_size": 2})
    assert result.metric.name == "cosine with dense"
    assert result.metric.dense == pytest.approx(1, abs=1e-6)
    assert -1 <= result.metric.value < 1 - 1e-6
    assert result.summary.length == TOKENS
    with pytest.raises(InputError, match="'data' has 3 pictures; at least 4 are needed"):
        walras.run(model, None, given[:3], **QUICK)
    with pytest.raises(InputError, match=r"data\[4\] is str, and data\[0\] is a picture"):
        walras.run(model, processor, [*given[:4], "text"], **QUICK)
    with pytest.raises(InputError, match="give a list of texts, pictures, sounds or batches"):
        walras.run(model, None, given[0], **QUICK)
    batches = [{"pixel_values": pixel_values(None, given[:4], SIDE)}] * 2
    own = walras.run(model, None, batches, recipe="none", **QUICK)
    assert own.summary.length == TOKENS  # batches too say how many tokens there are


def test_the_head_of_a_classifier_stays(pictures: Make, vision: Path, tmp_path: Path) -> None:
    config = Dinov2Model.from_pretrained(vision).config
    torch.manual_seed(0)
    Dinov2ForImageClassification(config).save_pretrained(tmp_path / "classifier")
    result = walras.run(str(tmp_path / "classifier"), task=task_of(pictures(6)), recipe="none", **QUICK)
    result.export(tmp_path / "small")
    batch = pixel_values(None, [grey(90)], SIDE)
    with torch.no_grad():
        wanted = result.compact()(pixel_values=batch).logits
        found = load_model(tmp_path / "small")(pixel_values=batch).logits
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_an_image_processor_is_used_and_travels_along(pictures: Make, vision: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vision"
    Dinov2Model.from_pretrained(vision).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 8, "width": 8}, image_mean=[0.1] * 3, image_std=[2.0] * 3).save_pretrained(
        folder
    )
    place = pictures(6)
    result = walras.run(str(folder), task=task_of(place, size=None), recipe="none", **QUICK)
    assert result.summary.length == 5
    assert result.summary.protocol["size"] == "as its image processor says"
    pixels = pixel_values(result.tokenizer, [grey(51)], None)
    torch.testing.assert_close(pixels, torch.full((1, 3, 8, 8), (51 / 255 - 0.1) / 2))
    assert pixel_values(result.tokenizer, [grey(51)], 12).shape == (1, 3, 12, 12)
    result.export(tmp_path / "small")
    loaded = load(str(tmp_path / "small"), "images")
    assert torch.equal(pixel_values(loaded.tokenizer, [grey(51)], None), pixels)
    card = (tmp_path / "small" / "README.md").read_text(encoding="utf-8")
    code = card.split("```python\n")[1].split("```")[0]
    scope: dict[str, Any] = {}
    exec(code.replace('"small"', f'"{tmp_path}/small"'), scope)
    assert type(scope["processor"]).__name__ == "ViTImageProcessorPil"
    (folder / "preprocessor_config.json").write_text(
        '{"image_processor_type": "ViTImageProcessor", "size": {"height": 99999, "width": 9}}', encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"size is 99999 in its preprocessor_config\.json; it must be from 1 to 8,192"):
        walras.run(str(folder), task=task_of(place), **QUICK)


def test_the_default_preparation() -> None:
    """The middle of a wide picture, resized, in three colours of ImageNet's mean and deviation."""
    wide = Image.new("RGB", (60, 20), (255, 0, 0))
    wide.paste((0, 255, 0), (20, 0, 40, 20))
    found = pixel_values(None, [wide], 10)
    assert found.shape == (1, 3, 10, 10)
    middle = found[0, :, 5, 5]
    torch.testing.assert_close(middle, (torch.tensor([0.0, 1, 0]) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]))  # fmt: skip
    assert pixel_values(None, [wide], None).shape == (1, 3, DEFAULT, DEFAULT)


def test_pictures_of_16_bits_are_as_bright_as_of_8() -> None:
    grey = np.arange(0, 250, 10, dtype=np.uint8).reshape(5, 5)
    plain = pixel_values(None, [Image.fromarray(grey)], 5)
    for deep in (grey.astype(np.uint16) * 257, grey.astype(np.int32) * 257):
        assert torch.equal(pixel_values(None, [Image.fromarray(deep)], 5), plain)


def test_values_move_cosines_alone(pictures: Make, vision: Path) -> None:
    """The objective is of the first token, or of the mean; both tell units apart without labels."""
    task = task_of(pictures(6))
    model = load(str(vision), "images", device="cpu").model
    batch = task.batch(None, task.pool()[:4], 0)
    slopes = []
    for pool in ("first", "mean"):
        loss = PictureEmbeddings(pool)(model, batch, torch.Generator().manual_seed(0))
        slopes.append(torch.autograd.grad(loss, model.get_parameter("encoder.layer.1.mlp.fc2.weight"))[0])
    assert task.objective(model, True) == task.objective(model, False) == PictureEmbeddings("first")
    assert all(float(slope.abs().max()) > 0 for slope in slopes)
    assert not torch.allclose(slopes[0], slopes[1])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"size": 0}, "size is 0; it must be a whole number of pixels from 1 to 4,096"),
        ({"k": 0}, "k is 0; it must be from 1 to 10"),
        ({"k": 11}, "k is 11; it must be from 1 to 10"),
        ({"embedding": "last"}, "embedding"),
        ({"train": 11}, "train is 11; .* has 10 pictures to train on"),
        ({"folder": "x"}, "task images is given two folders"),
    ],
)
def test_faulty_settings(more: dict[str, Any], message: str, pictures: Make) -> None:
    with pytest.raises((InputError, UnknownNameError), match=message):
        task_of(pictures(6), **more)


def test_more_calibration_than_there_is_data(pictures: Make, vision: Path, tmp_path: Path) -> None:
    """Told before a network is loaded; of the default number all are taken."""
    place = pictures(6)
    for name in ("sentences", "repair_sentences"):
        with pytest.raises(InputError, match=f"{name} is 11; task images has 10 samples to calibrate on"):
            walras.run(str(tmp_path / "no model"), task="images", data=str(place), **{**QUICK, name: 11})
    model = load(str(vision), "images", device="cpu").model
    with pytest.raises(InputError, match="sentences is 11; task images has 10"):
        walras.run(model, None, task_of(place), **{**QUICK, "sentences": 11})
    settings = {name: value for name, value in QUICK.items() if name != "sentences"}
    assert walras.run(model, None, task_of(place), recipe="none", **settings).market.round == 1


def test_another_kind_of_network_is_refused(pictures: Make, models: Path, vision: Path) -> None:
    with pytest.raises(InputError, match=r"takes input_ids \(bert\); this task needs one that takes pixel_values"):
        Subject.load(SubjectSpec(model=str(models / "bert")), task=task_of(pictures(6)))
    with pytest.raises(InputError, match=r"takes pixel_values \(dinov2\); this task needs one that takes input_ids"):
        load(str(vision))
