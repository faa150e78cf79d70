"""What valuations may look at: a network with a loss and data, its derivatives, and its loss with some units alone.

Of units without a network (`GivenUnits`) the values are given.
"""

from walras.agents.calibration.calibration import Calibration
from walras.agents.calibration.coalitions import coalition_losses
from walras.agents.calibration.derivatives import at_rest
from walras.agents.calibration.given_units import GivenUnits
from walras.agents.calibration.interactions import pairwise
from walras.agents.calibration.traded_units import TradedUnits

__all__ = ["Calibration", "GivenUnits", "TradedUnits", "at_rest", "coalition_losses", "pairwise"]
