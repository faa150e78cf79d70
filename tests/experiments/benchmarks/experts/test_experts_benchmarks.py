"""The small mixture of experts: it goes on where it was killed, and its tables say what was measured."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from walras.errors import InputError
from walras.experiments.benchmarks.experts import half_experts, mixture_training, routing_rules, small_mixture
from walras.experiments.benchmarks.experts.mixture_training import Plan, batch_of, train_mixture
from walras.experiments.benchmarks.experts.small_mixture import Size, Start, begin
from walras.experiments.benchmarks.kept_rows import read_rows
from walras.experiments.progress import Silent

TEXT = " \n = A house = \n \n" + " The cat sat on the <unk> mat , and a dog ran in the house . \n" * 60
SMALL = Size(layers=2, heads=2, width=8, experts=4, chosen=2, neurons=6, vocabulary=300, length=16)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """WikiText-2 in small."""
    folder = tmp_path_factory.mktemp("data") / "wikitext-2"
    folder.mkdir()
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text(TEXT, encoding="utf-8")
    return str(folder.parent)


@pytest.fixture(scope="module")
def start(data: str, tmp_path_factory: pytest.TempPathFactory) -> Start:
    return begin(data, tmp_path_factory.mktemp("mixture"), SMALL, 0)


def _weights(model: Any) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize("rule", ["loss-free-bias:rate=0.5", pytest.param("expert-choice", marks=pytest.mark.nightly)])
def test_training_goes_on_bit_by_bit(rule: str, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixture_training, "SAVE", 2)
    whole = train_mixture(start, Plan(tmp_path / "whole", rule, 0.01, 5, 2, 0), Silent())
    plan, steps = Plan(tmp_path / "ended", rule, 0.01, 5, 2, 0), iter(range(4))

    def killed(*given: Any) -> torch.Tensor:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return batch_of(*given)

    with monkeypatch.context() as patch:
        patch.setattr(mixture_training, "batch_of", killed)
        with pytest.raises(KeyboardInterrupt):
            train_mixture(start, plan, Silent())
    assert len(read_rows(plan.folder / "training.jsonl")) == 4
    again = train_mixture(start, plan, Silent())
    assert all(torch.equal(a, b) for a, b in zip(_weights(whole), _weights(again), strict=True))
    rows = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in read_rows(tmp_path / name / "training.jsonl")]
        for name in ("whole", "ended")
    ]
    assert rows[0] == rows[1]
    assert [row["step"] for row in rows[0]] == list(range(5))
    other = Plan(tmp_path / "ended", rule, 0.0, 5, 2, 0)
    with pytest.raises(InputError, match=r"was trained with .*choose another folder"):
        train_mixture(start, other, Silent())


def test_blocks_come_once_an_epoch() -> None:
    blocks = torch.arange(10).view(5, 2)
    seen = torch.cat([batch_of(blocks, 2, 3, step) for step in range(2)])
    assert len({tuple(row.tolist()) for row in seen}) == 4
    assert torch.equal(batch_of(blocks, 2, 3, 1), batch_of(blocks, 2, 3, 1))
    assert len({tuple(batch_of(blocks, 2, 3, step).flatten().tolist()) for step in range(6)}) > 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chosen": 9}, "chosen is 9 of 8 experts for each token; valid: 1 to 8"),
        ({"experts": 1}, "chosen is 2 of 1 experts for each token; valid: 1 to 1"),
        ({"width": 100}, "width is 100; it must be a multiple of the number of heads, 8"),
    ],
)
def test_sizes_that_cannot_be(settings: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Size(**settings)


def test_another_mixture_in_the_folder_is_refused(data: str, start: Start) -> None:
    with pytest.raises(InputError, match=r"holds a mixture of .*choose another folder"):
        begin(data, start.fresh.parent, SMALL, 1)


def test_half_of_the_experts_bytes_by_hand(start: Start) -> None:
    model = start.network()
    share = half_experts.half_of_the_experts(model)
    experts = 2 * 4 * (3 * 8 * 6 + 8) * 4  # layers, experts, weights and a row of the router, bytes
    layers = sum(p.numel() for p in model.model.layers.parameters()) * 4
    norms = 2 * 2 * 8 * 4  # units' own tensors are what counts
    assert share == pytest.approx(1 - experts / 2 / layers, abs=norms / layers)


def test_what_is_done_is_not_done_again() -> None:
    done = [{**vars(cell), "perplexity": 1.0} for cell in half_experts.cells(1)]
    assert list(half_experts.measured(half_experts.cells(1), done, pytest.fail, Silent())) == []
    assert len(done) == 2 * 5 + 3 * 3 * 2 + 2


def test_means_over_draws() -> None:
    common = {"valuation": "reap", "shape": "even", "repair": "none", "dense": 3.0, "experts": 4, "heads": None}
    rows = [{**common, "draw": i, "perplexity": p, "seconds": 1.0, "bytes left": 0.6} for i, p in enumerate((4.0, 6.0))]
    (row,) = half_experts.summary(rows).to_dict("records")
    assert (row["mean"], row["min"], row["max"], row["draws"], row["bytes left"]) == (5.0, 4.0, 6.0, 2, 0.6)


@pytest.mark.nightly
def test_whole_tables(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(routing_rules, "Size", lambda **given: Size(heads=2, vocabulary=300, length=16, **given))
    monkeypatch.setattr(small_mixture, "Size", lambda **given: Size(heads=2, vocabulary=300, length=16, **given))
    sizes = {"layers": 2, "width": 16, "neurons": 8}
    for _ in range(2):  # the second time nothing is left to do
        routing_rules.main(data, tmp_path / "rules", None, seeds=1, steps=3, batch=2, tokens=100, **sizes)
        assert len(read_rows(tmp_path / "rules" / "routing_rules_cells.jsonl")) == len(routing_rules.DESIGNS)
    assert (tmp_path / "rules" / "routing_prices.png").read_bytes()[:4] == b"\x89PNG"
    small_mixture.main(
        data, tmp_path / "mix", "top-experts", 0.01, steps=3, batch=2, seed=0, experts=4, chosen=2, **sizes
    )  # fmt: skip
    half_experts.main(str(tmp_path / "mix" / "model"), data, tmp_path / "half", 1, sentences=4, tokens=100, length=16)
    rows = [json.loads(line) for line in (tmp_path / "half" / "half_experts_cells.jsonl").read_text().splitlines()]
    assert {row["experts"] for row in rows if row["shape"] != half_experts.TWO_PRICES} == {4}
    assert "leave-one-out" in capsys.readouterr().out
