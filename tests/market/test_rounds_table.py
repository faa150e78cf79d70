"""The table of rounds of a run is read back as it was, or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fuzzing import NASTY, damaged_arrays, damaged_bytes, fuzzed, read_or_refused
from hypothesis import given
from hypothesis import strategies as st

from walras import read_rounds
from walras.errors import InputError
from walras.files.tables import write_table

ROUNDS = pd.DataFrame({
    "round": [1, 2, 3], "budget": [0.7, 0.6, 0.5], "used": [0.69, 0.6, 0.49], "price": [1.0, 2.0, np.inf],
    "welfare": [3.0, 2.0, 1.0], "revenue": [1.0, 1.0, 0.5], "surplus": [2.0, 1.0, 0.5], "heads": [8, 7, 6],
    "status": ["cleared", "cleared", "rationed"], "volatility": [np.nan, np.nan, 0.1], "shock": ["", "", "budget"],
})  # fmt: skip


def written(folder: Path, frame: pd.DataFrame) -> Path:
    write_table(folder / "rounds.parquet", pa.Table.from_pandas(frame, preserve_index=False))
    return folder


def test_there_and_back(tmp_path: Path) -> None:
    pd.testing.assert_frame_equal(read_rounds(written(tmp_path, ROUNDS)), ROUNDS)
    pd.testing.assert_frame_equal(read_rounds(tmp_path / "rounds.parquet"), ROUNDS)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"round": [1, 3, 2]}, r"its rounds are not 1 to 3, in order"),
    ({"round": [1.0, 2.0, 3.0]}, r"column round is of type double"),
    ({"used": [1.0, np.nan, 1.0]}, r"used is missing in a round"),
    ({"used": [1.0, np.inf, 1.0]}, r"used is not finite in every round"),
    ({"used": [1.0, -1.0, 1.0]}, r"a price is no number, or a budget or what was used of it is below 0"),
    ({"status": ["cleared", None, "cleared"]}, r"status is missing in a round"),
    ({"price": [1.0, None, 1.0]}, r"price is missing in a round"),
    ({"welfare": ["a", "b", "c"]}, r"column welfare is of type"),
    ({"status": [1, 2, 3]}, r"column status is of type int64"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_rounds(written(tmp_path, ROUNDS.assign(**change)))


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read table of rounds '.*rounds\.parquet'"):
        read_rounds(tmp_path)
    with pytest.raises(InputError, match="has no column 'price'"):
        read_rounds(written(tmp_path, ROUNDS.drop(columns="price")))


@pytest.mark.nightly
@fuzzed
@given(data=st.data())
def test_damaged_tables(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes that changed are noticed; columns that changed give a table that is sound, or none."""
    content = (written(tmp_path, ROUNDS) / "rounds.parquet").read_bytes()
    if data.draw(st.booleans()):
        (tmp_path / "rounds.parquet").write_bytes(data.draw(damaged_bytes(content)))
        found = read_or_refused(read_rounds, tmp_path)
        if found is not None:
            pd.testing.assert_frame_equal(found[ROUNDS.columns.intersection(found.columns)], ROUNDS[found.columns])
        return
    numbers = ROUNDS.select_dtypes("number")
    changed = data.draw(damaged_arrays({str(name): numbers[name].to_numpy() for name in numbers}))
    columns: dict[str, Any] = {**changed, **{name: ROUNDS[name].to_numpy() for name in ("status", "shock")}}
    if data.draw(st.booleans()):
        texts = [value for value in NASTY if isinstance(value, str) and "\ud800" not in value]
        columns["status"] = np.array([data.draw(st.sampled_from(texts))] * 3, dtype=object)
    length = min((len(np.ravel(values)) for values in columns.values()), default=0)
    written(tmp_path, pd.DataFrame({name: np.ravel(values)[:length] for name, values in columns.items()}))
    found = read_or_refused(read_rounds, tmp_path)
    assert found is None or found["round"].tolist() == list(range(1, len(found) + 1))
    assert found is None or np.isfinite(found["used"]).all()
