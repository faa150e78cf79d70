"""What a unit is worth. A new valuation is one file with one class, and one entry in `VALUATIONS`."""

from walras.agents.valuations.calibration import Calibration
from walras.agents.valuations.fisher import Fisher
from walras.agents.valuations.gradient import Gradient
from walras.agents.valuations.magnitude import Magnitude
from walras.agents.valuations.random import Random
from walras.agents.valuations.valuation import Valuation

VALUATIONS: dict[str, type[Valuation]] = {
    "fisher": Fisher,
    "gradient": Gradient,
    "magnitude": Magnitude,
    "random": Random,
}

__all__ = ["VALUATIONS", "Calibration", "Fisher", "Gradient", "Magnitude", "Random", "Valuation"]
