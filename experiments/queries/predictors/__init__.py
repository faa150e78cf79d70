"""Predicting from a query's text below how many tokens an answer is worth nothing.

A new predictor is one file with one class, and one entry in `PREDICTORS`.
"""

from walras.experiments.queries.predictors.encoder import Encoder
from walras.experiments.queries.predictors.files import load_predictor, save_predictor
from walras.experiments.queries.predictors.labels import Problem, read_problems, threshold_label
from walras.experiments.queries.predictors.predictor import PREDICTORS, Fit, Prediction, Predictor, evaluate
from walras.experiments.queries.predictors.ridge import Ridge

__all__ = [
    "PREDICTORS",
    "Encoder",
    "Fit",
    "Prediction",
    "Predictor",
    "Problem",
    "Ridge",
    "evaluate",
    "load_predictor",
    "read_problems",
    "save_predictor",
    "threshold_label",
]
