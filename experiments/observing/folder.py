"""The folder of an observation. `result.json` comes last, and its presence means finished."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from walras.errors import InputError
from walras.experiments.observing.config import ObserveConfig
from walras.experiments.settings import leaf_values
from walras.experiments.store.run_folder import check_same, names_in, write_whole

PICTURES = ("frontier", "inequality", "heatmaps")
EVALUATIONS = "evaluations.json"
PARTS = (
    "config.yaml", "observe.parquet", "layers.parquet", "report.html", "result.json", EVALUATIONS,
    *(f"{n}.png" for n in PICTURES),
)  # fmt: skip


@final
class ObserveFolder:
    """Where an observation is kept. Nothing is created, and nothing old removed, before the first evaluation is done.

    Raises:
        InputError: the folder holds something else, or an observation that is neither to be replaced nor to be resumed;
            one that is to be resumed with other settings, or has finished.
    """

    def __init__(self, path: str | Path, config: ObserveConfig, overwrite: bool = False, resume: bool = False) -> None:
        self.path, self.config = Path(path), config
        present = names_in(path, PARTS, "no part of an observation; choose another folder")
        self._begun = resume and "config.yaml" in present
        if self._begun:
            begun = ObserveConfig.read(self.path / "config.yaml", {})
            check_same(self.path, leaf_values(begun), leaf_values(config))
            if "result.json" in present:
                raise InputError(f"--out {str(path)!r} has finished; there is nothing to resume")
        elif present and not overwrite:
            raise InputError(
                f"--out {str(path)!r} holds another observation; use --overwrite to replace it, or --resume to go on"
            )

    def evaluations(self) -> dict[str, Any]:
        """What has been evaluated of an observation that goes on."""
        file = self.path / EVALUATIONS
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if self._begun and file.is_file() else {}
        return found

    def keep(self, evaluations: Mapping[str, Any]) -> None:
        """Write all evaluations so far; what an earlier observation left is removed first."""
        if not self._begun:
            self._begun = True
            for place in self.path.iterdir() if self.path.is_dir() else ():
                place.unlink()
            self.write("config.yaml", self.config.as_yaml())
        self.write(EVALUATIONS, json.dumps(evaluations))

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all."""
        write_whole(self.path / name, content)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the result; the observation is finished."""
        self.write("result.json", json.dumps(result, indent=2) + "\n")
        (self.path / EVALUATIONS).unlink(missing_ok=True)
