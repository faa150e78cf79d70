"""The table of rounds that a run leaves: one row per round."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from walras.errors import InputError
from walras.files.contents import reading
from walras.files.tables import fits, read_table

NAME = "rounds.parquet"
WHAT = "table of rounds"
MOST_ROUNDS = 99_999
_TYPES = {"round": pa.int64(), "status": pa.string()}
_AMOUNTS = ("budget", "used", "welfare", "revenue", "surplus")  # finite, whatever the rule; a price may be infinite


def read_rounds(path: str | Path) -> pd.DataFrame:
    """The rounds of a run: columns of `Round` and `Economics`, and figures of phases.

    Args:
        path: the run's folder, or the file itself.

    Raises:
        InputError: no table there, or one that is damaged or of something else.
    """
    file = Path(path) / NAME if Path(path).is_dir() else Path(path)
    found = read_table(file, WHAT, most=MOST_ROUNDS)
    if found.num_rows == 0:
        raise InputError(f"{WHAT} {str(file)!r} has no rows")
    where = f"{WHAT} {str(file)!r}"
    names = found.column_names
    if len(set(names)) < len(names):
        raise InputError(f"{where} has two columns of one name")
    for name in ("round", *_AMOUNTS, "price", "status"):
        if name not in names:
            raise InputError(f"{where} has no column {name!r}")
        kind, wanted = found.schema.field(name).type, _TYPES.get(name, pa.float64())
        if not fits(kind, wanted):
            raise InputError(f"{where}: column {name} is of type {kind}; it must be {wanted}")
        if found[name].null_count:
            raise InputError(f"{where}: {name} is missing in a round")
    with reading(WHAT, file, pa.ArrowException):
        frame: pd.DataFrame = found.to_pandas()
    if frame["round"].tolist() != list(range(1, len(frame) + 1)):
        raise InputError(f"{where}: its rounds are not 1 to {len(frame)}, in order")
    for name in _AMOUNTS:
        if not np.isfinite(frame[name].to_numpy("float64")).all():
            raise InputError(f"{where}: {name} is not finite in every round")
    if frame["price"].isna().any() or (frame["budget"] <= 0).any() or (frame["used"] < 0).any():
        raise InputError(f"{where}: a price is no number, or a budget or what was used of it is below 0")
    return frame
