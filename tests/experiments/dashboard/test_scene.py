"""A live market and a run's folder show the same things, in memory that is bounded."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from walras.errors import InputError
from walras.experiments.dashboard import scene as scenes
from walras.experiments.dashboard.scene import HISTORY, History, Replay, live_scene
from walras.experiments.market_model.toy import toy


def test_a_replay_shows_what_the_live_market_did(run_folder: Path) -> None:
    market, history, replay = toy(24, rounds=3, seed=1), History(24), Replay(run_folder)
    for _ in market.remaining():
        market.step()
        history.add(market)
        live, kept = live_scene(market, history), replay.scene(market.round)
        assert live.round == kept.round == market.round
        for column in ("agent", "value", "bid", "quantity", "wealth"):
            assert live.agents[column].tolist() == kept.agents[column].tolist()
        assert live.rounds["price"].tolist() == kept.rounds["price"].tolist()
        assert live.line == kept.line
    name = live.agents["agent"].iloc[5]
    pd.testing.assert_frame_equal(
        live.past(name).astype(float), kept.past(name).reset_index(drop=True).astype(float), rtol=1e-6
    )


def test_before_the_first_round_there_is_something_to_show() -> None:
    market = toy(24, rounds=3)
    shown = live_scene(market, History(24))
    assert shown.line == "Before round 1 of 3 · 24 of 24 units funded"
    assert len(shown.past("L0.H0")) == 0
    assert list(shown.past("nobody").columns) == ["round", *HISTORY]


@pytest.mark.parametrize("round_", [-5, 0, 1, 3, 99])
def test_a_replay_has_the_nearest_round(run_folder: Path, round_: int) -> None:
    assert Replay(run_folder).scene(round_).round == min(max(round_, 1), 3)


def test_where_a_part_is_missing_the_nearest_round_is_shown(run_folder: Path) -> None:
    (run_folder / "trace" / "part-00002.parquet").unlink()
    replay = Replay(run_folder)
    assert [replay.scene(round_).round for round_ in (0, 1, 2, 3, 9)] == [1, 1, 1, 3, 3]
    assert len(replay.scene(2).agents) == 24


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no trace"):
        Replay(tmp_path)


def test_a_history_forgets_what_there_is_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "ROWS", 240)
    market, history = toy(24, rounds=20), History(24)
    for _ in range(15):
        market.step()
        history.add(market)
    assert len(history) == 10
    assert history.of(0)["round"].tolist() == list(range(6, 16))
    assert np.isfinite(history.of(3).to_numpy()).all()
