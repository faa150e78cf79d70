"""The folder of a training run."""

from walras.experiments.store.result_folder import Layout

CHECKPOINT = "checkpoint"
"""Where an unfinished run can be gone on with."""
TRAINING = Layout(
    "training run",
    (
        "config.yaml",
        "result.json",
        "steps.parquet",
        "evaluations.parquet",
        "judged.parquet",  # of earlier versions
        "allocation.safetensors",
        "model",
        CHECKPOINT,
        "report.html",
        "training.png",
        "allocation.png",
    ),
    resumable=True,
)
