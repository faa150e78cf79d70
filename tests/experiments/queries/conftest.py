"""Queries in a file of each format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

Write = Callable[[str, list[dict[str, Any]]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes records to a file in the format of its name."""

    def write(name: str, records: list[dict[str, Any]]) -> Path:
        path = tmp_path / name
        if path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(r) + "\n" for r in records))
        elif path.suffix == ".csv":
            pd.DataFrame(records).to_csv(path, index=False)
        else:
            pd.DataFrame(records).to_parquet(path)
        return path

    return write
