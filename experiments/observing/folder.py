"""The folder of an observation. `result.json` comes last, and its presence means finished."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from walras.errors import InputError
from walras.experiments.folder import names_in, write_whole

PICTURES = ("frontier", "inequality", "heatmaps")
PARTS = (
    "config.yaml", "observe.parquet", "layers.parquet", "report.html", "result.json", *(f"{n}.png" for n in PICTURES)
)  # fmt: skip


@final
class ObserveFolder:
    """Where an observation is kept. Nothing is created, and nothing old removed, before all of it is there.

    Raises:
        InputError: the folder holds another observation and `overwrite` is off, or something that is none.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        self.path = Path(path)
        present = names_in(path, PARTS, "no part of an observation; choose another folder")
        if present and not overwrite:
            raise InputError(f"--out {str(path)!r} holds another observation; use --overwrite to replace it")

    def begin(self, config: str) -> None:
        """Remove what an earlier observation left, and write the settings."""
        for place in self.path.iterdir() if self.path.is_dir() else ():
            place.unlink()
        self.write("config.yaml", config)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all."""
        write_whole(self.path / name, content)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the result; the observation is finished."""
        self.write("result.json", json.dumps(result, indent=2) + "\n")
