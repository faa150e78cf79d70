"""The direction of imports between the rooms, and a face that answers without torch."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOMS = ("mechanisms", "models", "agents", "market", "experiments")  # each imports only those before it
ROOT = Path(__file__).resolve().parents[1]

_SHOWING = {"typer", "rich", "jinja2", "matplotlib"}  # belong to the command line and its reports
_FILES = {"io", "json", "os", "pathlib", "pickle", "safetensors", "shutil", "tempfile", "tomllib", "yaml"}
_FACE = {"entries", "errors", "escaping", "extras", "registry", "parameters", "spelling", "user_code"}
_FILELESS = {"mechanisms", "agents"}
BANNED: dict[str, set[str]] = {
    "walras": {"torch", "transformers", "mesa", "numpy", "pandas", "pyarrow", *_SHOWING},
    "files": {"torch", "transformers", "mesa", "pandas", *_SHOWING},
    "mechanisms": {"transformers", "mesa", "pandas", "pyarrow", *_FILES, *_SHOWING},
    "models": {"mesa", "pandas", "pyarrow", *_SHOWING},
    "agents": {"pandas", "pyarrow", *_FILES, *_SHOWING},
    "market": _SHOWING,
    "experiments": set(),
}


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of whatever is imported, wherever in the file; a relative import has its dots in front."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module == "walras":  # `from walras import market` imports a room
                yield from ((node.lineno, f"walras.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def running(tree: ast.Module) -> ast.Module:
    """The module without what stands under `if TYPE_CHECKING`, which never runs."""
    body = [n for n in tree.body if not (isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")]
    return ast.Module(body=body, type_ignores=[])


def faults(room: str, source: str) -> list[str]:
    """What a file of the room imports and must not."""
    tree = ast.parse(source)
    allowed = (
        {*_FACE, *({"files"} if room == "files" else ())}
        if room in ("walras", "files")
        else {*_FACE, *(() if room in _FILELESS else ("files",)), *ROOMS[: ROOMS.index(room) + 1]}
    )
    found = []
    for line, name in imports(running(tree) if room == "walras" else tree):
        top, *below = name.split(".")
        if not top:
            found.append(f"line {line}: {name} is relative")
        elif top in ROOMS:
            found.append(f"line {line}: {name} must be imported as walras.{name}")
        elif top in BANNED[room]:
            found.append(f"line {line}: {room} must not know {top}")
        elif top == "walras" and not (below and below[0] in allowed):
            found.append(f"line {line}: {room} must not import {name}")
    if room == "mechanisms":
        calls = (n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name))
        found += [f"line {n.lineno}: mechanisms open no files" for n in calls if ast.unparse(n.func) == "open"]
    return found


MODULES = [
    ("files" if path.parent.name == "files" and room == "walras" else room, path)
    for room in ("walras", *ROOMS)
    for path in sorted((ROOT / room).rglob("*.py"))
]


def test_modules_import_only_what_their_room_may_know() -> None:
    found = {str(path.relative_to(ROOT)): faults(room, path.read_text(encoding="utf-8")) for room, path in MODULES}
    assert {name: told for name, told in found.items() if told} == {}
    assert len(found) > 300


def test_every_room_has_modules() -> None:
    assert {room for room, _ in MODULES} == {"walras", "files", *ROOMS}


@pytest.mark.parametrize(
    ("room", "source", "fault"),
    [
        ("mechanisms", "from walras.models import gated", "line 1: mechanisms must not import walras.models"),
        ("mechanisms", "def f():\n    import transformers.utils", "line 2: mechanisms must not know transformers"),
        ("mechanisms", "from pathlib import Path", "line 1: mechanisms must not know pathlib"),
        ("mechanisms", "x = open('bids.txt').read()", "line 1: mechanisms open no files"),
        ("models", "import mesa", "line 1: models must not know mesa"),
        ("models", "from walras import agents", "line 1: models must not import walras.agents"),
        ("models", "import walras", "line 1: models must not import walras"),
        ("agents", "import walras.market.ledger", "line 1: agents must not import walras.market.ledger"),
        ("market", "from rich import print", "line 1: market must not know rich"),
        ("market", "try:\n    import typer\nexcept ImportError:\n    pass", "line 2: market must not know typer"),
        ("market", "from walras.experiments.run import Plan", "line 1: market must not import walras.experiments.run"),
        ("experiments", "from .run import Plan", "line 1: .run is relative"),
        ("experiments", "from market import Ledger", "line 1: market must be imported as walras.market"),
        ("walras", "import torch", "line 1: walras must not know torch"),
        ("walras", "from walras.market import Ledger", "line 1: walras must not import walras.market"),
    ],
)
def test_a_forbidden_import_is_found(room: str, source: str, fault: str) -> None:
    assert faults(room, source) == [fault]


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_above_and_errors_may_be_imported(room: str) -> None:
    for above in ROOMS[: ROOMS.index(room) + 1]:
        assert faults(room, f"from walras.{above} import x\nfrom walras.errors import InputError\nimport torch") == []


def test_types_may_be_imported_by_the_face() -> None:
    assert faults("walras", "if TYPE_CHECKING:\n    from walras.market import Ledger") == []


HEAVY = ("torch", "transformers", "mesa", "numpy", "pandas", "pyarrow", "matplotlib", "scipy", "networkx", "jinja2")


def loaded(code: str) -> set[str]:
    """Which heavy packages a fresh process has imported after the code."""
    report = f"import sys\n{code}\nprint('loaded:', *(m for m in {HEAVY} if m in sys.modules))"
    command = [sys.executable, "-W", "error", "-c", report]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}  # a coverage plugin imports more
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("loaded:", 1)[1].split())


def test_importing_the_face_loads_nothing_heavy() -> None:
    assert loaded("import walras\nimport walras.errors\nassert 'run' in dir(walras)") == set()


@pytest.mark.nightly
def test_a_name_that_is_used_is_loaded() -> None:
    """The test above can fail."""
    assert "torch" in loaded("import walras\nwalras.ShadowPrice")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "from walras.experiments.cli.main import main\nsys.argv = ['walras', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code"
    )
    assert loaded(code) == set()


def allocate(folder: Path, *options: str) -> set[str]:
    """Which heavy packages `walras allocate` imports for five rows of a jsonl and of a csv file."""
    rows = range(1, 6)
    (folder / "q.jsonl").write_text("".join(f'{{"id": {i}, "threshold": {100 * i}}}\n' for i in rows))
    (folder / "q.csv").write_text("id,threshold\n" + "".join(f"{i},{100 * i}\n" for i in rows))
    code = "from walras.experiments.cli.main import main\n" + "".join(
        f"sys.argv = {['walras', 'allocate', str(folder / name), '--budget', '900', '--out', str(folder / out)]}\n"
        f"sys.argv += {[*options]}\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        for name, out in (("q.jsonl", "g.csv"), ("q.csv", "g.jsonl"))
    )
    return loaded(code)


def test_allocating_tokens_loads_torch_and_numpy_only(tmp_path: Path) -> None:
    assert allocate(tmp_path) == {"torch", "numpy"}
    assert len((tmp_path / "g.jsonl").read_text().splitlines()) == 5


@pytest.mark.nightly
def test_an_import_by_an_allocator_is_seen(tmp_path: Path) -> None:
    """The test above can fail."""
    own = tmp_path / "own.py"
    own.write_text(
        "import scipy.special\nfrom walras.market.queries import Allocator\n"
        "class Nothing(Allocator):\n    name = 'nothing'\n"
        "    def grant(self, queries, bids, budget):\n        return 0.0 * queries.threshold, None\n"
    )
    assert allocate(tmp_path, "--allocator", f"{own}:Nothing") == {"torch", "numpy", "scipy"}
