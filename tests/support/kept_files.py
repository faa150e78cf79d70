"""Which files of a folder are still those that were there."""

from pathlib import Path


def written(folder: Path) -> dict[str, int]:
    """When each file was last written."""
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
