"""Pages of the reference: every public name with its signature, its docstring and an example that has been run."""

import inspect

from doc_tools.docstrings import described, markdown
from doc_tools.examples import Example, examples, printed, setup
from doc_tools.public_names import PublicName, public_names

WORDS = {
    "mechanisms": "Rules of the market and populations of bids.",
    "models": "The real transformer: units, gates, resources, repair, attention rules, exports.",
    "agents": "Who trades: agents, strategies, valuations.",
    "market": "Rounds, phases, schedules, scopes, shocks, prices in training, token budgets for queries.",
    "experiments": "Runs from names or objects, comparisons, tasks, recipes, training, executors.",
}


def room_page(room: str) -> str:
    """The names of one room."""
    names = [entry for entry in public_names() if entry.room == room]
    parts = [WORDS[room]]
    if code := setup(room):
        parts.append(f"The examples of this page share these lines:\n\n```python\n{code}\n```")
    return "\n\n".join([*parts, *(_section(entry) for entry in names)])


def overview() -> str:
    """All public names in one table."""
    rows = [
        f"| [{entry.name}](#{anchor(entry)}) | {_first(entry)} | `{entry.packages[0]}` |" for entry in public_names()
    ]
    return "\n".join(["| name | what it is | import it from |", "|---|---|---|", *rows])


def anchor(entry: PublicName) -> str:
    """The label of a name's section; it knows no case, so that it says what kind of thing the name is."""
    kind = "class" if inspect.isclass(entry.value) else "function" if callable(entry.value) else "constant"
    return f"{entry.packages[-1]}.{entry.name}.{kind}".replace("_", "-").replace(".", "-").lower()


def shown(entry: PublicName) -> list[Example]:
    """The examples of a name; where two packages export one name, the cell is headed by the longer `package.Name`."""
    cells = examples(entry.room)
    exact = {f"{package}.{entry.name}" for package in entry.packages}
    return [c for c in cells if exact & set(c.names)] or [c for c in cells if entry.name in c.names]


def _first(entry: PublicName) -> str:
    text = markdown(getattr(entry.value, "__doc__", None)) if callable(entry.value) else ""
    return " ".join(text.split("\n\n")[0].split()).partition(". ")[0].rstrip(".") or "A table of names"


def _section(entry: PublicName) -> str:
    imports = f"from {entry.packages[0]} import {entry.name}"
    parts = [f"({anchor(entry)})=\n## {entry.name}", f"```python\n{imports}\n```", described(entry.name, entry.value)]
    for example in shown(entry):
        parts.append(f"**Example**\n\n```python\n{example.code}\n```")
        if output := printed(example):
            parts.append(f"prints\n\n```text\n{output}\n```")
    return "\n\n".join(parts)
