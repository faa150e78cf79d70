"""The benchmark of populations: which runs there are, what a row holds, and that finished rows are taken."""

from pathlib import Path

import pandas as pd
import pytest

from walras.errors import InputError
from walras.experiments.benchmarks import populations
from walras.experiments.benchmarks.populations import KEY, grid, key, known, row
from walras.experiments.grids.runner import run_cells
from walras.experiments.progress import Silent
from walras.experiments.store.grid_folder import GridFolder


@pytest.mark.nightly
def test_rows_of_real_runs(monkeypatch: pytest.MonkeyPatch, models: Path, glue: Path, tmp_path: Path) -> None:
    for name, value in (("RULES", ("PayAsBidAuction",)), ("POPULATIONS", ("truthful", "hedge")), ("BUDGETS", (0.5,))):
        monkeypatch.setattr(populations, name, value)
    runs, folder = grid(str(glue), 1, str(models / "bert")), GridFolder(tmp_path / "runs")
    cells = runs.cells
    assert [key(cell) for cell in cells] == [("PayAsBidAuction", p, 0.5, 0) for p in ("truthful", "hedge")]
    assert run_cells(runs, folder, cells, "serial", Silent()) == 0
    rows = [row(cell, folder) for cell in cells]
    for found in rows:
        rounds = pd.read_parquet(folder.place(cells[rows.index(found)]) / "rounds.parquet")
        assert len(rounds) == populations.ROUNDS
        assert found["efficiency"] == pytest.approx(rounds["efficiency"].iloc[-populations.LAST :].mean())
    assert rows[0]["revenue"] == pytest.approx(1)  # the truthful pay all that they gain
    assert rows[1]["revenue"] < 1
    pd.DataFrame(rows).to_csv(tmp_path / "populations.csv", index=False)
    taken = known(tmp_path / "populations.csv")
    assert [*taken] == [key(cell) for cell in cells]
    assert taken[key(cells[1])]["spearman"] == pytest.approx(rows[1]["spearman"])


def test_data_that_are_not_there_are_found_first(models: Path, glue: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        grid(str(glue / "nowhere"), 1, str(models / "bert"))


def test_no_table(tmp_path: Path) -> None:
    assert known(None) == {}
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    for name in ("other.csv", "none.csv"):
        with pytest.raises(InputError, match="is no table of populations"):
            known(tmp_path / name)
    assert len(KEY) == 4
