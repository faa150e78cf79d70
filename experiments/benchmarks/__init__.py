"""Figures that need a quiet machine: run one with `python -m walras.experiments.benchmarks.NAME`."""
