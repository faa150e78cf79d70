"""Designs: which combinations of settings are run. A new design is one file and one entry in `DESIGNS`.

A user's own is named by FILE.py:Class, whose class is derived from `SampledDesign`.
"""

from walras.experiments.designs.design import Design, FullGrid, SampledDesign
from walras.experiments.designs.morris import Morris
from walras.experiments.designs.saltelli import Saltelli
from walras.experiments.designs.space_filling import Halton, Latin, Sobol
from walras.registry import Registry

DESIGNS: Registry[Design] = Registry("design", Design, texts=("name",))
for _design in (FullGrid, Sobol, Halton, Latin, Saltelli, Morris):
    DESIGNS.add(_design)

__all__ = ["DESIGNS", "Design", "SampledDesign"]
