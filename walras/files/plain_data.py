"""JSON and YAML: numbers, texts, lists and mappings, however a stranger wrote them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from walras.errors import InputError
from walras.escaping import shown
from walras.files.contents import LARGEST, brief, read_text, reading

DEEPEST = 64
"""Levels of nesting; ours have fewer than ten."""
MOST = 5_000_000
"""Values in one file, those counted again that YAML names again."""
LARGEST_NUMBER = 10**300
"""Whole numbers up to here can be printed and made real numbers."""
_LARGEST_YAML = 2**22  # bytes: some seconds of reading
_MOST_ALIASES = 1000  # places of a YAML file that name values from elsewhere in it
_MOST_MERGED = 10_000  # entries of a mapping into which others are merged
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # as fast as this installation has it


def read_json(path: str | Path, what: str, largest: int = LARGEST) -> Any:
    """What a JSON file holds.

    Args:
        path: of the file.
        what: the kind of file, for errors: "latency table".
        largest: bytes that it may have.

    Raises:
        InputError: a file that is missing, too large, no JSON, or nested too deeply; texts that are no Unicode.
    """
    text = read_text(path, what, largest)
    with reading(what, path):
        found = json.loads(text, object_pairs_hook=_once)
    check_plain(found, f"{what} {str(path)!r}")
    return found


def parse_json(text: str) -> Any:
    """What a text of JSON says.

    Raises:
        ValueError: no JSON, numbers with thousands of digits, nested too deeply, texts that are no Unicode.
    """
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError(brief(error)) from error
    if "\\u" in text:  # nothing else spells half a character; a plain line of a million is not walked through
        check_plain(found, "it")
    return found


def write_json(content: Any, indent: int | None = 2) -> str:
    """Plain data as a JSON text with a last newline."""
    return json.dumps(content, indent=indent) + "\n"


def read_yaml(path: str | Path, what: str) -> Any:
    """What a YAML file holds: plain data, a key once in a mapping.

    Raises:
        InputError: a file that is missing, too large, no YAML, or nested too deeply; a key that is there twice.
    """
    text = read_text(path, what, _LARGEST_YAML)
    try:
        with reading(what, path, TypeError):
            _check_nesting(text, f"{what} {str(path)!r}")
            found = yaml.load(text, _OnceLoader)
    except yaml.YAMLError as error:
        raise InputError(f"{what} {str(path)!r} is not YAML: {error}") from error
    except _TwiceError as error:
        raise InputError(f"{what} {str(path)!r} gives {error}; give it once") from error
    check_plain(found, f"{what} {str(path)!r}")
    return found


def parse_yaml(text: str) -> Any:
    """What a text of YAML says that this program wrote itself."""
    return yaml.safe_load(text)


def write_yaml(content: Mapping[str, Any]) -> str:
    """Plain data as a YAML text, keys in their order."""
    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)


def check_plain(content: Any, where: str) -> None:
    """Refuse data that nothing after it could work with.

    Raises:
        InputError: nested too deeply or in itself, more than `MOST` values, a whole number beyond `LARGEST_NUMBER`, a
            text with half a character (a lone surrogate), which cannot be written.
    """
    waiting, seen = [(content, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST:
            raise InputError(f"{where} is nested too deeply; valid: {DEEPEST} levels")
        if seen > MOST:
            raise InputError(f"{where} holds more than {MOST:,} values")
        if isinstance(value, str):
            if not value.isascii():
                _check_text(value, where)
        elif isinstance(value, int):
            if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
                raise InputError(f"{where} holds a number of more than 300 digits")
        elif isinstance(value, Mapping):
            waiting += [(key, depth) for key in value]
            waiting += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, (list, tuple, set)):
            waiting += [(inner, depth + 1) for inner in value]


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where} holds a text with half a character: {text[error.start]!a}") from error


def _check_nesting(text: str, where: str) -> None:
    """Refuse YAML on which its loader would run out of stack (which ends the process) or of memory."""
    depth = aliases = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > DEEPEST:
            raise InputError(f"{where} is nested too deeply; valid: {DEEPEST} levels")
        if aliases > _MOST_ALIASES:
            raise InputError(f"{where} names values again more than {_MOST_ALIASES:,} times; write them out")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of JSON, in which a key is once; JSON's own reader would take the last one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if any(key == other for other, _ in pairs[:i]))
        raise ValueError(f"it gives {shown(twice)} twice; give it once")
    return found


class _TwiceError(Exception):
    """A key that is twice in one mapping."""


class _OnceLoader(_Loader):  # type: ignore[misc]  # whichever of yaml's loaders there is
    """Plain data of YAML; a key is once in a mapping, where YAML's own loader would take the last one."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge mappings into one; a few lines that merge one another could make billions of entries."""
        super().flatten_mapping(node)
        if len(node.value) > _MOST_MERGED:
            raise ValueError(f"a mapping has more than {_MOST_MERGED:,} entries")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping."""
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                name, line = self.construct_object(key), key.start_mark.line + 1
                if name in lines:
                    raise _TwiceError(f"{name} twice, in lines {lines[name]} and {line}")
                lines[name] = line
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found

    def construct_decimal(self, node: yaml.ScalarNode) -> Any:
        """A number, but not in base 60, which takes minutes where it is long; nobody means 1:30 as one."""
        if ":" in node.value:
            return self.construct_scalar(node)
        return super().construct_yaml_int(node) if node.tag.endswith("int") else super().construct_yaml_float(node)


for _tag in ("int", "float"):
    _OnceLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _OnceLoader.construct_decimal)
