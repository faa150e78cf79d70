"""Predicting from a query's text below how many tokens an answer is worth nothing.

A new predictor is one file with one class, and one entry in `PREDICTORS`.
"""

from walras.experiments.queries.predictors.encoder import Encoder
from walras.experiments.queries.predictors.evaluation import Fit, evaluate
from walras.experiments.queries.predictors.files import check_place, figures, load_predictor, save_predictor
from walras.experiments.queries.predictors.labels import Problem, read_problems, threshold_label
from walras.experiments.queries.predictors.predictor import FittedPredictor, Prediction, Predictor
from walras.experiments.queries.predictors.registered import PREDICTORS
from walras.experiments.queries.predictors.ridge import FittedRidge, Ridge

__all__ = [
    "PREDICTORS",
    "Encoder",
    "Fit",
    "FittedPredictor",
    "FittedRidge",
    "Prediction",
    "Predictor",
    "Problem",
    "Ridge",
    "check_place",
    "evaluate",
    "figures",
    "load_predictor",
    "read_problems",
    "save_predictor",
    "threshold_label",
]
