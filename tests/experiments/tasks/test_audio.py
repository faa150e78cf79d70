"""Runs on recordings: what is measured and on which states, tokens, the whole network after its encoder is smaller."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from transformers import AutoModelForSpeechSeq2Seq, WhisperForConditionalGeneration, WhisperModel

import walras
from walras.errors import InputError
from walras.experiments.tasks import TASKS
from walras.experiments.tasks.losses import States
from walras.models import compact, inventory
from walras.models.export.reloading import load_model
from walras.models.loading import load
from walras.models.pooling import states

RATE, STATES = 16_000, 50  # as in conftest.py
QUICK: dict[str, Any] = {"budget": 0.6, "rounds": 1, "sentences": 4, "batch_size": 2, "block": 8}


def task_of(place: Path, **more: Any) -> Any:
    return TASKS.make({"name": "audio", "seconds": 1.0, **more}, data=str(place))


def tone(seconds: float, pitch: float = 300) -> Any:
    return np.sin(2 * np.pi * pitch * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


def test_a_run_by_name(recordings: Path, speech: Path, no_pictures: None, tmp_path: Path) -> None:
    """The encoder is traded and the decoder is not; the export writes what the network in memory writes."""
    out = walras.run(str(speech), task="audio:seconds=1.0", data=str(recordings), out=tmp_path / "run", **QUICK)
    summary = out.summary
    assert summary.metric.name == "cosine with dense"
    assert summary.metric.dense == pytest.approx(1, abs=1e-6)
    assert -1 < summary.metric.value < 1 - 1e-6
    assert summary.length == STATES
    assert summary.dense_macs == 2 * (4 * 24 * 24 * STATES + 2 * STATES * STATES * 24 + 2 * 24 * 40 * STATES)
    assert summary.protocol == {
        "pieces": 4, "rate": "16000 Hz", "to calibrate on": 4, "resampled from": "8000 Hz"
    }  # fmt: skip
    small: Any = out.compact()
    dense: Any = out.dense
    names = dict(small.named_parameters())
    changed = {n for n, p in dense.named_parameters() if n not in names or not torch.equal(names[n], p)}
    assert changed
    assert all(name.startswith("model.encoder.layers.") for name in changed)
    out.export(tmp_path / "small")
    batch = out.tokenizer.feature_extractor(tone(0.8), sampling_rate=RATE, return_tensors="pt")["input_features"]
    first = torch.ones(1, 1, dtype=torch.long)
    with torch.no_grad(), out.gated() as model:
        wanted = model(input_features=batch, decoder_input_ids=first).logits
    again: list[Any] = [
        load_model(tmp_path / "small"),
        AutoModelForSpeechSeq2Seq.from_pretrained(tmp_path / "small", trust_remote_code=True).eval(),
        load(str(tmp_path / "small"), "speech").model,
    ]
    for found in again:
        with torch.no_grad():
            now = found(input_features=batch, decoder_input_ids=first).logits
            torch.testing.assert_close(now, wanted, rtol=0, atol=1e-5)
            assert torch.equal(found.generate(batch, max_length=6), small.generate(batch, max_length=6))
    code = (tmp_path / "small" / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    scope: dict[str, Any] = {}
    exec(code.replace('"small"', f'"{tmp_path}/small"'), scope)
    assert type(scope["processor"]).__name__ == "WhisperProcessor"


def test_only_real_states_count(recordings: Path, speech: Path) -> None:
    """Of half a second 25 of the 50 states; by hand from the states of both networks."""
    task = task_of(recordings)
    model, processor = load(str(speech), "speech", device="cpu")
    batch = task.batch(processor, task.held_out, 0)
    heard = {e.first: row for e, row in zip(task.held_out, batch["attention_mask"].sum(1).tolist(), strict=True)}
    lengths = {"r0.wav": 25, "r1.wav": 35, "r2.wav": 50, "r3.wav": 50, "r3.wav[1 s]": 50, "r3.wav[2 s]": 25}
    lengths |= {"deep/r4.wav": 30, "deep/r5.wav": 40}
    assert len(task.calibrating) == len(task.held_out) == 4
    for name, count in heard.items():
        assert count == pytest.approx(lengths[name.removeprefix(f"{recordings}/")], abs=1)
    units = inventory(model, block=8)
    small = compact(model, units, np.arange(len(units)) % 3 != 0)
    sizes: Any = {"batch_size": 3, "length": 0}
    found = task.evaluate(small, processor, task.reference(model, processor, **sizes), **sizes)
    with torch.no_grad():
        both = [torch.nn.functional.normalize(states(m, batch), dim=-1) for m in (small, model)]
    cosines, mask = (both[0] * both[1]).sum(-1), batch["attention_mask"]
    assert found == pytest.approx(float(((cosines * mask).sum(1) / mask.sum(1)).mean()), abs=1e-5)
    assert float((cosines * (1 - mask)).abs().max()) > 0  # silence has states too, which do not count


def test_what_lies_in_silence_moves_no_loss(speech: Path, recordings: Path) -> None:
    """The loss is that of real states alone."""
    task = task_of(recordings)
    loaded = load(str(speech), "speech", device="cpu")
    model: Any = loaded.model
    batch = task.batch(loaded.tokenizer, task.pool()[:2], 0)
    hidden = states(model, batch).detach().requires_grad_()

    given: Any = WhisperModel(model.config)
    given.forward = lambda **_: type("Output", (), {"encoder_last_hidden_state": hidden})
    (slope,) = torch.autograd.grad(States()(given, batch, torch.Generator().manual_seed(0)), hidden)
    mask = batch["attention_mask"].bool()
    assert float(slope[~mask].abs().max()) == 0
    assert float(slope[mask].abs().max()) > 0
    assert States().by_position


def test_from_python(speech: Path) -> None:
    model, processor = load(str(speech), "speech", device="cpu")
    sounds = [tone(0.3 + 0.1 * i, 200 + 40 * i) for i in range(6)]
    result = walras.run(model, processor, sounds, recipe="none", **{**QUICK, "sentences": 3})
    assert result.metric.name == "cosine with dense"
    assert result.summary.protocol["pieces"] == 3
    with pytest.raises(InputError, match="data has 3 pieces of sound; at least 4"):
        walras.run(model, processor, sounds[:3], **QUICK)
    with pytest.raises(InputError, match="needs the processor of the network"):
        walras.run(model, None, sounds, **QUICK)
    with pytest.raises(InputError, match=r"data\[\d\] lasts 1\.5 s; the network hears 1 s at most: seconds=1"):
        walras.run(model, processor, [tone(1.5)] * 6, **QUICK)
    with pytest.raises(InputError, match=r"data\[2\] is"):
        walras.run(model, processor, [*sounds[:2], "text"], **QUICK)


def test_a_feature_extractor_alone_will_do(speech: Path, recordings: Path, tmp_path: Path) -> None:
    loaded = load(str(speech), "speech", device="cpu")
    model: Any = loaded.model
    model.save_pretrained(tmp_path / "m")
    with pytest.raises(InputError, match=r"comes without preprocessor_config\.json"):
        load(str(tmp_path / "m"), "speech")
    loaded.tokenizer.feature_extractor.save_pretrained(tmp_path / "m")
    result = walras.run(str(tmp_path / "m"), task=task_of(recordings), recipe="none", **QUICK)
    assert result.metric.dense == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"seconds": 0.0}, r"seconds is 0; it must be from 0\.1 to 600"),
        ({"share": 1.0}, "share is 1; it must be"),
        ({"pieces": 0}, "pieces is 0; it must be"),
        ({"least": 2.0}, r"\(without 8 shorter ones\) has 0 pieces of sound; at least 4 are needed"),
        ({"folder": "x"}, "task audio is given two folders"),
    ],
)
def test_faulty_settings(more: dict[str, Any], message: str, recordings: Path) -> None:
    with pytest.raises(InputError, match=message):
        task_of(recordings, **more)
    assert len(task_of(recordings, pieces=2).held_out) == 2


def test_more_calibration_than_there_is_data(recordings: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sentences is 5; task audio has 4 samples to calibrate on"):
        walras.run(
            str(tmp_path / "no model"), task="audio:seconds=1.0", data=str(recordings), **{**QUICK, "sentences": 5}
        )


def test_a_recording_that_does_not_open_is_told_before_the_network_is_loaded(recordings: Path, tmp_path: Path) -> None:
    (recordings / "bad.wav").write_bytes(b"RIFFnothing")
    with pytest.raises(InputError, match=r"cannot read recording '.*bad\.wav'"):
        walras.run(str(tmp_path / "no model"), task="audio", data=str(recordings), **QUICK)
    wavfile.write(recordings / "bad.wav", 100, tone(0.1))
    with pytest.raises(InputError, match="has a rate of 100 Hz"):
        walras.run(str(tmp_path / "no model"), task="audio", data=str(recordings), **QUICK)


def test_the_whole_network_is_of_transformers(speech: Path) -> None:
    assert isinstance(load(str(speech), "speech").model, WhisperForConditionalGeneration)
