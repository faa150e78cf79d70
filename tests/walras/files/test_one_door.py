"""Files are read and written in the room for files alone: nothing goes around its checks."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ROOMS = ("walras", "mechanisms", "models", "agents", "market", "experiments")
DOOR = ROOT / "walras" / "files"
READING = {
    "json.load", "json.loads", "yaml.load", "yaml.safe_load", "yaml.full_load", "pd.read_parquet", "pd.read_csv",
    "pq.ParquetFile", "pq.read_table", "load_file", "safe_open", "torch.load", "pickle.load", "pickle.loads",
    "np.load",
}  # fmt: skip
WRITING = {
    "os.replace", "os.rename", "os.remove", "os.unlink", "shutil.rmtree", "shutil.move", "json.dump", "yaml.dump",
    "pq.write_table", "torch.save", "np.save", "pickle.dump",
}  # fmt: skip
METHODS = {"write_text", "write_bytes", "unlink", "rename", "to_parquet"}
"""Of paths and frames; `rename` with one argument, as frames' and series' have another."""
EXCEPT = {
    "models/export/checkpoints.py": {"write_text"},  # into the draft of the folder
    "experiments/executors/dask_executor.py": {"pickle.loads"},  # what a worker of one's own cluster sends back
    "experiments/benchmarks/populations.py": {"pd.read_csv"},  # our own table of results
    "experiments/benchmarks/peers/peer_textpruner.py": {"torch.save", "torch.load"},  # between two processes of ours
    "experiments/benchmarks/peers/peer_textpruner_script.py": {"torch.save", "torch.load"},  # the other one
}


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every call in a file: `json.loads`, or of methods the last part."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in READING | WRITING:
                yield node.lineno, name
            elif isinstance(node.func, ast.Attribute) and node.func.attr in METHODS and not _of_frames(node):
                yield node.lineno, node.func.attr


def _of_frames(node: ast.Call) -> bool:
    """Whether it is pandas' renaming, which names what it renames by keyword, or a column by a text."""
    assert isinstance(node.func, ast.Attribute)
    texts = [one for one in node.args if isinstance(one, ast.Constant)]
    return node.func.attr == "rename" and (bool(node.keywords) or bool(texts))


FILES = [p for room in ROOMS for p in sorted((ROOT / room).rglob("*.py")) if DOOR not in p.parents]


def test_nothing_goes_around_the_door() -> None:
    found = [(str(path.relative_to(ROOT)), line, name) for path in FILES for line, name in calls(path)]
    assert [one for one in found if one[2] not in EXCEPT.get(one[0], set())] == []
    assert len(FILES) > 300


def test_a_way_around_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text("import json\njson.loads('1')\nplace.unlink()\nframe.rename(columns=a)\nold.rename(new)\n")
    assert list(calls(file)) == [(2, "json.loads"), (3, "unlink"), (5, "rename")]
