"""The optimal brain surgeon on whole units: which leave first, which are exchanged, and what becomes of the rest."""

from walras.models.surgeon.structured_obs import StructuredOBS as StructuredOBS
from walras.models.surgeon.structured_obs import refitted as refitted
