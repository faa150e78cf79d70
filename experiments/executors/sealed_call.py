"""A call that only the worker looks into.

A Dask scheduler unpickles what it is handed, and so would import torch, and all that the items are made of, before it
passes them on. It sees bytes instead.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any


def submit_sealed(
    executor: Executor, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> "Future[Any]":
    """Submit `fn(*args, **kwargs)` as bytes; classes of a script or notebook travel with them."""
    import cloudpickle

    return executor.submit(call_sealed, cloudpickle.dumps((fn, tuple(args), dict(kwargs))))


def call_sealed(call: bytes) -> Any:
    """In the worker: make the call."""
    fn, args, kwargs = pickle.loads(call)
    return fn(*args, **kwargs)
