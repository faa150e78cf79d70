"""Where many independent jobs run: in this process, in processes of this machine, on a Dask cluster, under MPI."""

from walras.experiments.executors.outcomes import Outcome, outcomes
from walras.experiments.executors.registry import EXECUTORS, parse_executor
from walras.experiments.executors.source import ExecutorSource

__all__ = ["EXECUTORS", "ExecutorSource", "Outcome", "outcomes", "parse_executor"]
