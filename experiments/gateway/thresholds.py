"""What a request is thought to need: by its own word, its class, a predictor, or the class of all others."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, final

from walras.errors import InputError
from walras.experiments.gateway.bodies import Body
from walras.experiments.gateway.classes import RequestClasses
from walras.experiments.gateway.deciding.desk import Desk
from walras.experiments.gateway.deciding.terms import Ask
from walras.experiments.gateway.refusals import CLASS, bad, refused, told_threshold, told_weight
from walras.market.queries.limits import LEAST_WEIGHT, MOST_WEIGHT

if TYPE_CHECKING:
    from walras.experiments.queries.predictors import Prediction

PREDICTED = "predicted"
"""Class that is learned of requests whose threshold a predictor told."""
Predict = Callable[[Sequence[str]], "Prediction"]


def load_predict(folder: Path | None) -> Predict | None:
    """The predictor of a folder, if there is one.

    Raises:
        InputError: what is wrong with it.
    """
    if folder is None:
        return None
    from walras.experiments.queries.predictors import load_predictor

    return load_predictor(folder).predict


@final
class Thresholds:
    """Makes the bid of a request. Its threshold is the first of these that is there:

    1. what the header `x-walras-threshold` says, as it is;
    2. that of its class, by the header `x-walras-class` or by its model;
    3. what the predictor says of its text;
    4. that of class `other`.

    All but the first are corrected by what requests of the class truly used. The reserve for the answer is part of it,
    and a request for n answers needs it n times.

    Args:
        classes: of requests.
        reserve: tokens kept for the answer.
        predict: thresholds of texts; slow, and so run beside the loop, one request at a time.
        client_weights: a request may say its weight.
    """

    def __init__(
        self, classes: RequestClasses, reserve: int = 0, predict: Predict | None = None, client_weights: bool = False
    ) -> None:
        self._classes, self._reserve, self._predict = classes, reserve, predict
        self._client_weights = client_weights
        self._one = asyncio.Lock()

    async def ask(self, id: str, tenant: str, body: Body, headers: Mapping[str, str], desk: Desk) -> Ask:
        """The bid of a request.

        Raises:
            RefusalError: headers that make no sense.
        """
        exact, weight = told_threshold(headers), told_weight(headers)
        if weight is not None and not self._client_weights:
            raise bad("this gateway lets no request set its weight; leave x-walras-weight out")
        try:
            own = self._classes.named(headers[CLASS]) if CLASS in headers else self._classes.of_model(body.model)
        except InputError as error:
            raise refused(error) from error
        kind = own or self._classes.other
        name, threshold, worth = kind.name, kind.threshold * body.choices, kind.weight
        if exact is not None:
            threshold = exact * body.choices
        elif own is None and self._predict is not None and (texts := body.texts()):
            name, (threshold, chance) = PREDICTED, await self._predicted(texts)
            threshold, worth = threshold * body.choices / len(texts), worth * chance
        cap = inf if body.cap is None else float(body.cap * body.choices)
        kept = float(self._reserve * body.choices)
        if exact is not None and threshold + kept > cap:
            raise bad(
                f"x-walras-threshold of {exact:g} tokens, and {self._reserve} for the answer, exceed the request's own "
                f"limit of {body.cap}"
            )
        worth = min(max(worth if weight is None else weight, LEAST_WEIGHT), MOST_WEIGHT)
        return _within_cap(Ask(id, threshold + kept, name, tenant, worth, cap, exact is not None), desk)

    async def _predicted(self, texts: list[str]) -> tuple[float, float]:
        """Threshold of all texts together, and the chance of a good answer to one."""
        assert self._predict is not None
        async with self._one:
            told = await asyncio.to_thread(self._predict, texts)
        return max(float(told.threshold.sum()), 1.0), float(told.chance.mean())


def _within_cap(ask: Ask, desk: Desk) -> Ask:
    """A request that limits itself below what its class needs knows better: it bids for all of its limit.

    Its threshold is a headroom less than the limit, so that the limit is where more no longer helps it; and what it
    uses says nothing of its class.
    """
    if ask.exact or desk.threshold(ask) < ask.cap:
        return ask
    headroom = desk.markets[ask.tenant].headroom
    return replace(ask, guess=max(ask.cap - headroom, ask.cap / 2, 0.5), exact=True)
