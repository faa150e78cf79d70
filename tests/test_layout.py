"""The layout of the house: no circle of imports, no crowded folder, files of a readable length."""

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("walras", "mechanisms", "models", "agents", "market", "experiments")
MOST_FILES = 17  # of a folder: about fifteen
MOST_LINES = 320  # of a file: rarely over 200


def name_of(path: Path) -> str:
    """The dotted name of a module by its file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts if parts[0] == "walras" else ("walras", *parts))


MODULES = {name_of(path): path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))}


def at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported: not those of functions, nor under `if TYPE_CHECKING`."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting = [*node.orelse, *waiting]
            continue
        yield node
        for field in ("body", "orelse", "finalbody", "handlers"):
            waiting += [n for n in getattr(node, field, []) if isinstance(n, ast.stmt)]


def imported(source: str, known: set[str]) -> set[str]:
    """Our own modules that a source imports when it is imported itself."""
    found: set[str] = set()
    for node in at_import(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                below if (below := f"{node.module}.{alias.name}") in known else node.module for alias in node.names
            }
    return {name for name in found if name in known}


def packages(module: str, known: set[str]) -> set[str]:
    """The packages whose `__init__` runs before a module does."""
    parts = module.split(".")
    return {package for i in range(2, len(parts)) if (package := ".".join(parts[:i])) in known}


def within(name: str, package: str) -> bool:
    """Whether a module is a package, or in it: its `__init__` has begun already."""
    return f"{name}.".startswith(f"{package}.")


def circles(sources: dict[str, str]) -> list[list[str]]:
    """Circles of imports among modules, sorted."""
    graph = nx.DiGraph()
    graph.add_nodes_from(sources)
    for name, source in sources.items():
        for other in imported(source, set(sources)):
            graph.add_edges_from(
                (name, run) for run in (other, *packages(other, set(sources))) if not within(name, run)
            )
    return [sorted(part) for part in nx.strongly_connected_components(graph) if len(part) > 1]


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles({name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}) == []


def test_a_circle_is_found() -> None:
    sources = {"walras.a": "from walras.b import x", "walras.b": "import walras.a", "walras.c": "import walras.a"}
    assert circles(sources) == [["walras.a", "walras.b"]]
    harmless = "if TYPE_CHECKING:\n    import walras.a\ndef f():\n    import walras.a"
    assert circles({**sources, "walras.b": harmless}) == []


FOLDERS = sorted({path.parent for room in (*ROOMS, "tests") for path in (ROOT / room).rglob("*.py")})


@pytest.mark.parametrize("folder", FOLDERS, ids=[str(f.relative_to(ROOT)) for f in FOLDERS])
def test_a_folder_is_not_crowded(folder: Path) -> None:
    files = [path.name for path in folder.glob("*.py") if path.name not in ("__init__.py", "conftest.py")]
    assert len(files) <= MOST_FILES, files


def test_a_file_can_be_read_in_one_go() -> None:
    long = {
        str(p.relative_to(ROOT)): n for p in MODULES.values() if (n := len(p.read_text().splitlines())) > MOST_LINES
    }
    assert long == {}
