"""Where a run goes that was given no folder."""

from pathlib import Path


def new_folder(name: str) -> Path:
    """A folder of that name under runs/ that does not exist yet; numbered where there is one."""
    candidates = (Path("runs") / (name + (f"-{i}" if i else "")) for i in range(1_000_000))
    return next(c for c in candidates if not c.exists())
