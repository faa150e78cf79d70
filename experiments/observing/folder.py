"""The folder of an observation. `result.json` comes last, and its presence means finished."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from walras.errors import InputError
from walras.experiments.observing.config import ObserveConfig
from walras.experiments.settings.fields import leaf_values
from walras.experiments.store.run_folder import check_same, names_in
from walras.files.writing import write_whole

PICTURES = ("frontier", "inequality", "heatmaps")
EVALUATIONS = "evaluations"
PARTS = (
    "config.yaml", "observe.parquet", "layers.parquet", "report.html", "result.json", EVALUATIONS, "evaluations.json",
    *(f"{n}.png" for n in PICTURES),
)  # fmt: skip


@final
class ObserveFolder:
    """Where an observation is kept. Nothing is created, and nothing old removed, before the network is loaded.

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

    def begin(self) -> Path:
        """Write the settings, and remove what an earlier observation left; where evaluations are kept, comes back."""
        if not self._begun:
            self._begun = True
            for place in self.path.iterdir() if self.path.is_dir() else ():
                if place.is_dir():
                    shutil.rmtree(place)
                else:
                    place.unlink()
            self.write("config.yaml", self.config.as_yaml())
        return self.path / EVALUATIONS

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all."""
        write_whole(self.path / name, content)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the result; the observation is finished."""
        self.write("result.json", json.dumps(result, indent=2) + "\n")
        shutil.rmtree(self.path / EVALUATIONS, ignore_errors=True)
