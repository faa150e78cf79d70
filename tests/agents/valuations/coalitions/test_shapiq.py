"""Shapley values beside those of shapiq (Muschalik et al. 2024, arXiv 2410.01649), where it is installed."""

import warnings
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from walras.agents import Calibration, Shapley
from walras.agents.calibration.coalitions import coalition_losses
from walras.models.objective import GivenLoss


@pytest.fixture
def shapiq() -> Any:
    """The package, which takes seconds to import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies' own
        return pytest.importorskip("shapiq", reason="pip install '.[peers]'", exc_type=ImportError)


def table(calibration: Calibration, players: list[int]) -> dict[tuple[bool, ...], float]:
    """What the loss falls by against a network without any of the players, of every coalition."""
    n = len(calibration.inventory)
    sets = [*product((False, True), repeat=len(players))]
    gates = torch.ones(len(sets), n)
    gates[:, players] = torch.tensor(sets).float()
    losses = coalition_losses(calibration, gates)
    return {s: float(losses[0] - loss) for s, loss in zip(sets, losses, strict=True)}


@pytest.mark.nightly
@pytest.mark.parametrize("players", [[0, 1, 2, 3, 4, 5], [1, 3, 4]])
def test_estimates_are_within_their_errors_of_the_exact_values(bert: Any, players: list[int], shapiq: Any) -> None:
    scored = bert.calibration(GivenLoss(lambda net, batch: net(**batch).logits.sin().mean()))
    worth = table(scored, players)

    def game(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.array([worth[tuple(map(bool, row))] for row in coalitions])

    computer: Any = shapiq.ExactComputer(game, n_players=len(players))
    exact = [computer("SV", order=1)[(i,)] for i in range(len(players))]
    joins = torch.zeros(len(scored.inventory), dtype=torch.bool)
    joins[players] = True
    open_ = torch.ones(len(scored.inventory))
    found = Shapley(60).estimate(scored, open_, torch.Generator().manual_seed(0), joins)
    value, error = found.value[joins].numpy(), found.error[joins].numpy()
    assert np.abs(exact).max() > 1e-3
    assert (np.abs(value - exact) <= 4 * error + 1e-9).all()
    assert not (np.abs(value - exact[::-1]) <= 4 * error + 1e-9).all()  # of other units it would be told
    assert value.sum() == pytest.approx(sum(exact))
