"""One clearing of a market: what may be used, and whose outcome is settled."""

from dataclasses import dataclass
from typing import final

from walras.models import Site


@final
@dataclass(frozen=True)
class Session:
    """The budgets of one clearing, as shares of the dense network's amounts.

    `site` is the sub-layer whose outcome the clearing settles; None where it settles that of all units.
    """

    budget: float  # of the leading resource
    site: Site | None = None
    extra_budgets: tuple[float, ...] = ()  # of the other resources

    @property
    def budgets(self) -> tuple[float, ...]:
        """Budgets of all resources, the leading one first."""
        return (self.budget, *self.extra_budgets)
