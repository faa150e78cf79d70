"""What valuations may look at: a network with a loss and data, its derivatives, and its loss with some units alone."""

from walras.agents.calibration.calibration import Calibration
from walras.agents.calibration.coalitions import coalition_losses
from walras.agents.calibration.derivatives import at_rest
from walras.agents.calibration.interactions import pairwise

__all__ = ["Calibration", "at_rest", "coalition_losses", "pairwise"]
