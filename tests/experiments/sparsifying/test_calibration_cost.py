"""The table of what calibration costs has every step, and prices are found with the worths of the step before."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from walras.experiments.benchmarks.token_markets import calibration_cost
from walras.experiments.benchmarks.token_markets.calibration_cost import PLAIN, STEPS, Cost, Job, cost, costs
from walras.experiments.spec import SubjectSpec


@pytest.fixture
def job(llama: Path, document: Path) -> Job:
    spec = SubjectSpec(str(llama), task="document", data=str(document), length=16, batch_size=4, device="cpu")
    return Job(spec, 8, 0.6, "fisher", "one-price")


def test_the_steps(job: Job) -> None:
    """In this process, where one peak hides another."""
    given: dict[str, Mapping[str, Tensor]] = {}

    def run(job: Job, step: str, worths: Mapping[str, Tensor]) -> Cost:
        given[step] = worths
        return cost(job, step, worths)

    table = costs(job, run).set_index("step")
    assert tuple(table.index) == STEPS
    assert (table["seconds"] > 0).all()
    assert (table["peak"] > 0).all()
    assert (table["times"][PLAIN], table["times_peak"][PLAIN]) == (1.0, 1.0)
    assert (table["times"] * table["seconds"][PLAIN]).tolist() == pytest.approx(table["seconds"].tolist())
    assert len(given["prices"]) == 14
    assert not given["worths"]


def test_multiples(job: Job) -> None:
    """From figures that are known."""
    known = {step: Cost(10.0 * (i + 1), 2.0**i, 0.5, {}) for i, step in enumerate(STEPS)}
    table = costs(job, lambda job, step, worths: known[step])
    assert table["times"].tolist() == [0.5, 1.0, 1.5, 2.0]
    assert table["times_peak"].tolist() == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.nightly
def test_in_processes_of_their_own(llama: Path, document: Path, tmp_path: Path) -> None:
    calibration_cost.main(
        str(llama), str(document), "document", tmp_path, sequences=8, length=16, batch_size=4, budget=0.6,
        valuation="fisher", policy="one-price",
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "token_markets_calibration_cost.csv")
    assert tuple(table["step"]) == STEPS
    assert (table["seconds"] > 0).all()
    assert torch.tensor(table["peak"]).max() < 8
