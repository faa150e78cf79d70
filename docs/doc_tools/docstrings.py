"""A docstring, its signature and its methods as Markdown. Docstrings are plain text with Google's sections."""

import dataclasses
import inspect
import re
from typing import Any

SECTIONS = {"Args:": "Parameters", "Attributes:": "Attributes", "Returns:": "Returns", "Raises:": "Errors"}
ENTRY = re.compile(r"(\*{0,2}[\w. ,/]+?): (.*)")


def described(name: str, value: Any) -> str:
    """The signature, the docstring and, of a class that users derive from, its methods."""
    parts = []
    if callable(value) and not isinstance(value, dict) and (head := signature(name, value)):
        parts.append(f"```python\n{head}\n```")
    parts.append(markdown(inspect.getdoc(value) if _has_own(value) else "") or _constant(value))
    if inspect.isclass(value):
        parts += _methods(value)
    return "\n\n".join(part for part in parts if part)


def signature(name: str, value: Any) -> str:
    """How it is called; nothing for what cannot be made by a user, such as an abstract class."""
    if inspect.isclass(value) and (inspect.isabstract(value) or getattr(value, "_is_protocol", False)):
        return f"class {name}  # to derive from"
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    plain = [p.replace(annotation=_annotation(p), default=_default(p)) for p in found.parameters.values()]
    text = ", ".join(_parameter(p) for p in plain)
    if len(f"{name}({text})") > 100:
        text = "\n" + "".join(f"    {_parameter(p)},\n" for p in plain)
    returned = "" if inspect.isclass(value) else f" -> {_annotation(found, 'return_annotation')}"
    return f"{name}({text}){returned}"


def _parameter(p: inspect.Parameter) -> str:
    stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(p.kind.name, "")
    hint = f": {p.annotation}" if p.annotation else ""
    default = "" if p.default is inspect.Parameter.empty else f"{' = ' if hint else '='}{p.default}"
    return f"{stars}{p.name}{hint}{default}"


def _annotation(holder: Any, attribute: str = "annotation") -> Any:
    hint = getattr(holder, attribute)
    if hint is inspect.Parameter.empty:
        return ""
    text = hint if isinstance(hint, str) else inspect.formatannotation(hint)
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])", "", text)


def _default(p: inspect.Parameter) -> Any:
    if p.default is inspect.Parameter.empty:
        return p.default
    text = re.sub(r" at 0x\w+", "", repr(p.default))
    return text if len(text) < 60 and "<factory>" not in text and "<" not in text else "..."


def _has_own(value: Any) -> bool:
    """Whether the docstring is the object's own, not that of its type, nor the one dataclasses make up."""
    text = inspect.getdoc(value)
    if inspect.isclass(value):
        return bool(value.__doc__) and not (
            dataclasses.is_dataclass(value) and str(text).startswith(f"{value.__name__}(")
        )
    return callable(value) and bool(text) and text != inspect.getdoc(type(value))


def _constant(value: Any) -> str:
    """What a constant holds."""
    if isinstance(value, (tuple, list, frozenset)) or hasattr(value, "keys"):
        return (
            "Holds " + ", ".join(f"`{item if isinstance(item, str) else type(item).__name__}`" for item in value) + "."
        )
    return f"`{type(value).__name__}`"


def _methods(kind: type[Any]) -> list[str]:
    """Methods and properties of the class itself, and of its bases where it is meant to be derived from."""
    told = []
    for name, member in vars(kind).items():
        target = member.fget if isinstance(member, property) else getattr(kind, name, None)
        target = getattr(target, "func", target)
        text = inspect.getdoc(target) if callable(target) else None
        if name.startswith("_") or not text or inspect.isclass(target):
            continue
        arguments = "" if isinstance(member, property) else _arguments(target)
        told.append(f"- `{name}{arguments}`: {escaped(' '.join(text.split(chr(10) * 2)[0].split()))}")
    return ["**Methods and properties**\n\n" + "\n".join(told)] if told else []


def _arguments(function: Any) -> str:
    try:
        names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    except (TypeError, ValueError):
        return ""
    return f"({', '.join(names)})"


def markdown(text: str | None) -> str:
    """A docstring as Markdown: sections become lists, and what only looks like Markdown is escaped."""
    lines, out, section, indent = (text or "").split("\n"), [], "", 0
    for line in lines:
        bare = line.strip()
        if bare in SECTIONS and not line.startswith(" "):
            section, indent = bare, 0
            out += ["", f"**{SECTIONS[bare]}**", ""]
        elif section and bare and not line.startswith(" "):
            section = ""
            out.append(escaped(line))
        elif section and bare:
            indent = indent or len(line) - len(line.lstrip())
            entry = ENTRY.fullmatch(bare) if len(line) - len(line.lstrip()) == indent else None
            out.append(f"- `{entry[1]}`: {escaped(entry[2])}" if entry else f"  {escaped(bare)}")
        else:
            out.append(escaped(line))
    return "\n".join(out).strip()


def escaped(text: str) -> str:
    """Text in which stars, brackets and angles outside of code are themselves."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<\[\]|])", r"\\\1", part) for part in parts)
