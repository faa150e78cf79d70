"""Rows of the table of families as plain data, for exports."""

from typing import Any

from walras.models.families import SubLayer


def sublayer_layout(sublayer: SubLayer) -> dict[str, Any]:
    """The maps of a sub-layer as `modeling_walras` reads them."""
    return {"inputs": [[p.path, list(p.parts)] for p in sublayer.inputs], "output": sublayer.output}
