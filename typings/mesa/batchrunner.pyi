"""Types of Mesa's batch runs, as far as the tests use them."""

from collections.abc import Mapping
from typing import Any

from mesa import Model

def batch_run(
    model_cls: type[Model],
    parameters: Mapping[str, Any],
    *,
    data_collection_period: int = -1,
    display_progress: bool = True,
) -> list[dict[str, Any]]: ...
