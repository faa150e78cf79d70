"""TEAL's greedy allocation: by hand on a layer whose error is known, and on real layers."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from walras.errors import InputError
from walras.models.architectures import layers_of
from walras.models.objective import GivenLoss
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.greedy import Greedy, spared
from walras.models.tokens.offers import Collector
from walras.models.tokens.relative_prices import GivenShares
from walras.models.tokens.rules import PriceRule
from walras.models.tokens.token_map import TokenMap, token_maps
from walras.models.tokens.trading import everybody, token_markets
from walras.models.tokens.worths import Magnitude

LEFT = TokenMap(0, "left", "query", inputs=4, outputs=10)
RIGHT = TokenMap(0, "right", "output", inputs=12, outputs=10)  # three times as many multiplications


@dataclass
class Known:
    """A layer whose error is a sum of weight * (1 - share)^2."""

    weights: dict[str, float]
    maps: tuple[TokenMap, ...] = (LEFT, RIGHT)

    def error(self, shares: dict[str, float]) -> float:
        return sum(weight * (1 - shares[path]) ** 2 for path, weight in self.weights.items())


def test_by_hand() -> None:
    """A quarter of all is all of `left`, or a third of `right`.

    First step: left at 0 costs 1, right at 2/3 costs 9/9 = 1; the first of equals is taken: left. Then only right has
    something to give: 1/3 of it.
    """
    found = spared(Known({"left": 1.0, "right": 9.0}), 0.25, 0.5)
    assert found == {"left": 0.0, "right": pytest.approx(2 / 3)}


def test_both_give_in_turn() -> None:
    """Steps of 1/16 of all: 1/4 of left, 1/12 of right; the error is l^2 + 2 r^2 of what they gave.

    Right gives 1/12 (0.014 < 0.063), right again (0.056 < 0.076), then left (0.118 < 0.125), then right.
    """
    found = spared(Known({"left": 1.0, "right": 2.0}), 1 / 16, 0.75)
    assert found == {"left": pytest.approx(3 / 4), "right": pytest.approx(9 / 12)}


def test_the_last_step_is_as_long_as_is_left() -> None:
    found = spared(Known({"left": 9.0, "right": 1.0}), 0.25, 0.6)
    assert sum(found[m.path] * m.bidders * m.cost for m in (LEFT, RIGHT)) == pytest.approx(0.6 * 160)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_on_layers(kind: str, tiny: Any) -> None:
    """Every layer sells the share; a single step takes the map after which the output is nearest to the dense one."""
    tested = tiny(kind)
    maps = token_maps(tested.model)
    batches = [{name: value[:, :6] for name, value in tested.batch.items() if name in ("input_ids", "attention_mask")}]
    worths = Magnitude()(tested.model, maps, [], GivenLoss(lambda model, batch: torch.zeros(())), 0)
    network = Calibrated(tested.model, maps, worths, batches)
    found = Greedy(step=0.1).fit(network, 0.5)
    for layer in {m.layer for m in maps}:
        own = [m for m in maps if m.layer == layer]
        whole = sum(m.bidders * m.cost for m in own)
        assert sum(found.shares[m.path] * m.bidders * m.cost for m in own) == pytest.approx(0.5 * whole)
    one = Greedy(step=0.05).fit(network, 0.95)  # a single step
    first = [m for m in maps if m.layer == 0]
    whole = sum(m.bidders * m.cost for m in first)
    errors = {}
    for m in first:
        shares = {other.path: 1.0 for other in first} | {m.path: 1 - 0.05 * whole / (m.bidders * m.cost)}
        if shares[m.path] >= 0:
            errors[m.path] = error_of_first_layer(network, GivenShares(shares))
    chosen = [m.path for m in first if one.shares[m.path] < 1]
    assert chosen == [min(errors, key=lambda path: errors[path])]


@torch.no_grad()
def error_of_first_layer(network: Calibrated, policy: Any) -> float:
    """Squared distance of the first layer's output to the dense one."""
    maps = [m for m in network.maps if m.layer == 0]
    collector, seen = Collector(), []
    layer = layers_of(network.model)[0].module
    handle = layer.register_forward_hook(lambda _, args, out: seen.append(out if torch.is_tensor(out) else out[0]))
    with token_markets(network.model, maps, network.worths, everybody, collector):
        network.model(**network.batches[0])
    prices = policy(maps, collector.offers, 0.5)
    with token_markets(network.model, maps, network.worths, PriceRule(prices)):
        network.model(**network.batches[0])
    handle.remove()
    return float((seen[0] - seen[1]).square().sum())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"step": 0}, "step is 0; it must be a share between 0 and 1"),
        ({"tokens": 0}, "tokens is 0; it must be a whole"),
    ],
)
def test_bad_input(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Greedy(**values)
