"""YAML that would end the process, or fill its memory, is refused before it is built."""

from pathlib import Path

import pytest

from walras.errors import InputError
from walras.files.plain_data import read_yaml

DOUBLED = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i}\n  <<: [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("- " * 100_000, "nested too deeply"),
        ("? " * 100_000, "nested too deeply"),
        (DOUBLED, "more than 10,000 entries"),
        ("a: &a 1\nb: [" + "*a," * 2000 + "]", "names values again more than 1,000 times"),
    ],
    ids=["lists", "dashes", "keys", "merges", "aliases"],
)
def test_bombs(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "s.yaml").write_text(content)
    with pytest.raises(InputError, match=message):
        read_yaml(tmp_path / "s.yaml", "config file")
