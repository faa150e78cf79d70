"""The folder of an observation."""

from walras.experiments.store.result_folder import Layout

PICTURES = ("frontier", "inequality", "heatmaps")
EVALUATIONS = "evaluations"
"""A grid of evaluations, while the observation is unfinished."""
OBSERVATION = Layout(
    "observation",
    (
        "config.yaml",
        "observe.parquet",
        "layers.parquet",
        "report.html",
        "result.json",
        EVALUATIONS,
        "evaluations.json",  # of earlier versions
        *(f"{name}.png" for name in PICTURES),
    ),
    resumable=True,
)
