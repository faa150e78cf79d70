"""A file appears whole or not at all."""

from pathlib import Path

import pytest

from walras.files.writing import whole_file


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "new" / "table.txt"
    with whole_file(file) as partial:
        partial.write_text("first")
        assert not file.exists()
    with pytest.raises(TypeError), whole_file(file) as partial, partial.open("w") as half:
        half.writelines(["sec", None])  # type: ignore[list-item]  # what fails in the middle
    assert file.read_text() == "first"
    assert [p.name for p in file.parent.iterdir()] == ["table.txt"]
