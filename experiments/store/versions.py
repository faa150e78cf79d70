"""Which versions made a result: kept in `result.json`, for its report says them, also when it is written later."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

VERSIONS: Final = "versions"
"""In `result.json`: of the packages on which its figures depend."""
_PACKAGES = ("walras", "torch", "transformers")


def versions() -> dict[str, str]:
    """Versions of walras, torch and transformers."""
    return {name: _version(name) for name in _PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
