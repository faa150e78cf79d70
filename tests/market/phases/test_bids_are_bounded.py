"""What units bid has a price."""

from typing import Any

import pytest

from walras.agents import HeadAgent
from walras.errors import InputError


class Boastful(HeadAgent):
    """Bids more than any price can be."""

    def bid(self) -> float:
        return 1e200


def test_a_bid_without_a_price_is_told_by_the_unit(floor: Any) -> None:
    market = floor.market(floor.rising(), agents={"head": Boastful})
    with pytest.raises(InputError, match=r"L0\.H0 \(Boastful\) bids 1e\+200; bids must be finite, and at most 1\.27e"):
        market.step()
