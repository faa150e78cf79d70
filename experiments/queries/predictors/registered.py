"""The predictors that can be named."""

from walras.experiments.queries.predictors.encoder import Encoder
from walras.experiments.queries.predictors.predictor import Predictor
from walras.experiments.queries.predictors.ridge import Ridge
from walras.registry import Registry

PREDICTORS: Registry[Predictor] = Registry("predictor", Predictor, texts=("name",))
for _predictor in (Ridge, Encoder):
    PREDICTORS.add(_predictor)
