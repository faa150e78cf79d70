"""The folder of a training run. `result.json` comes last, and its presence means finished."""

import shutil
from pathlib import Path
from typing import final

from walras.errors import InputError
from walras.experiments.settings.fields import leaf_values
from walras.experiments.store.run_folder import check_same, names_in
from walras.experiments.training.config import TrainConfig
from walras.files.writing import write_whole

PARTS = (
    "config.yaml", "result.json", "steps.parquet", "evaluations.parquet", "judged.parquet",  # the last: once
    "allocation.safetensors", "model", "checkpoint",
    "report.html", "training.png", "allocation.png",
)  # fmt: skip


@final
class TrainFolder:
    """Where a training run is kept.

    Raises:
        InputError: the folder holds something else, or a run that is neither to be replaced nor to be resumed; a run
            that is to be resumed with other settings.
    """

    def __init__(self, path: str | Path, config: TrainConfig, overwrite: bool, resume: bool) -> None:
        self.path, self.config = Path(path), config
        present = names_in(path, PARTS, "no part of a training run; choose another")
        if resume and "config.yaml" in present:
            begun = TrainConfig.read(self.path / "config.yaml", {})
            check_same(self.path, leaf_values(begun), leaf_values(config))
            if "result.json" in present:
                raise InputError(f"--out {str(path)!r} has finished; there is nothing to resume")
        elif present and not overwrite:
            raise InputError(f"--out {str(path)!r} holds a run; use --resume to go on, or --overwrite to replace it")

    def begin(self) -> None:
        """Remove what an earlier run left, and write the settings."""
        for name in PARTS:
            place = self.path / name
            if place.is_dir():
                shutil.rmtree(place)
            elif place.exists():
                place.unlink()
        write_whole(self.path / "config.yaml", self.config.as_yaml())

    def forget_checkpoint(self) -> None:
        """Remove the checkpoint of a run that has finished."""
        shutil.rmtree(self.path / "checkpoint", ignore_errors=True)
