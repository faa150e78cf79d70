"""What is installed is what is in the checkout: wheels hold every package with its data, and constraints.txt pins
every dependency. The two builds take about 4 s each."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS: dict[str, Any] = PROJECT["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUPTOOLS["package-dir"]
TESTED = re.findall(r"^TESTED := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[0].split(",")
SCRATCH = shutil.ignore_patterns("__pycache__", ".*")
MUST_SHIP = {
    "walras/py.typed",
    "walras/experiments/reports/pages/page.html",
    "walras/experiments/tasks/pairs/pairs.tsv",
    "walras/experiments/tasks/pairs/pairs_dev.yaml",
    "walras/experiments/tasks/pairs/pairs_train.yaml",
}
BUILD_SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


def folder(package: str) -> Path:
    """Where a package's files lie in the checkout: walras.agents.strategies in agents/strategies."""
    nearest = max((name for name in FOLDERS if f"{package}.".startswith(f"{name}.")), key=len)
    return Path(FOLDERS[nearest], *package.removeprefix(nearest).split("."))


def packages_on_disk() -> dict[str, Path]:
    """Every folder with an __init__.py, by the name under which it would be imported."""
    found = {}
    for package, top in FOLDERS.items():
        for init in (ROOT / top).rglob("__init__.py"):
            path = init.parent.relative_to(ROOT)
            found[".".join((package, *path.relative_to(top).parts))] = path
    return found


def files_on_disk() -> set[str]:
    """Every file of every top folder, code and data, by its place in a wheel; a benchmark's figures are not shipped."""
    return {
        "/".join((*package.split("."), *path.relative_to(ROOT / top).parts))
        for package, top in FOLDERS.items()
        for path in (ROOT / top).rglob("*")
        if path.is_file() and not hidden(path) and not (path.suffix != ".py" and path.parent.name == "results")
    }


def hidden(path: Path) -> bool:
    """Caches, and what an editor or a notebook leaves behind."""
    return any(part == "__pycache__" or part.startswith(".") for part in path.relative_to(ROOT).parts)


def run(*command: str | Path, cwd: Path) -> None:
    """Run this Python; what it printed is the failure's message."""
    done = subprocess.run([sys.executable, *command], cwd=cwd, text=True, capture_output=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def checkout(target: Path) -> Path:
    """A copy of what setuptools reads: a build inside the checkout would leave files there, and pick up old ones."""
    target.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target)
    for top in FOLDERS.values():
        shutil.copytree(ROOT / top, target / top, ignore=SCRATCH)
    shutil.copytree(ROOT / "tests", target / "tests", ignore=SCRATCH)  # there to be left out
    return target


def constraints() -> dict[str, str]:
    """constraints.txt: canonical name -> the one version, and nothing in it but that."""
    pins: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert line == f"{requirement.name}=={pin.version}", "one version, no marker, no address"
            assert canonicalize_name(requirement.name) not in pins, f"{line}: pinned twice"
            assert "*" not in pin.version, line
            pins[canonicalize_name(requirement.name)] = pin.version
    return pins


def direct_dependencies() -> list[Requirement]:
    """What pyproject.toml asks for, with the extras that `make` installs."""
    extras = PROJECT["project"]["optional-dependencies"]
    lines = [line for extra in TESTED for line in extras[extra]]
    return [Requirement(line) for line in PROJECT["project"]["dependencies"] + lines]


def test_every_package_on_disk_is_listed_and_every_listed_one_exists() -> None:
    listed = SETUPTOOLS["packages"]
    assert len(set(listed)) == len(listed)
    assert {name: folder(name) for name in listed} == packages_on_disk()


def test_every_top_folder_with_an_init_is_a_package() -> None:
    assert {init.parent.name for init in ROOT.glob("*/__init__.py")} == set(FOLDERS.values())


def test_type_checkers_see_every_top_folder() -> None:
    seen = {path.resolve() for path in (ROOT / "typings" / "walras").iterdir() if path.is_dir()}
    inner = {init.parent.resolve() for init in (ROOT / "walras").glob("*/__init__.py")}
    assert seen == inner | {(ROOT / top).resolve() for package, top in FOLDERS.items() if package != "walras"}


@pytest.mark.parametrize("by_way_of", ["checkout", pytest.param("sdist", marks=pytest.mark.nightly)])
def test_a_wheel_holds_every_file_and_no_tests(by_way_of: str, tmp_path: Path) -> None:
    source = checkout(tmp_path / "checkout")
    if by_way_of == "sdist":
        run("-c", BUILD_SDIST, tmp_path, cwd=source)
        (source,) = tmp_path.glob("walras-*.tar.gz")
    run("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source, cwd=tmp_path)
    (wheel,) = tmp_path.glob("walras-*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == files_on_disk()
    assert names >= MUST_SHIP


@pytest.mark.parametrize("requirement", direct_dependencies(), ids=str)
def test_constraints_pin_what_pyproject_allows(requirement: Requirement) -> None:
    assert requirement.specifier.contains(constraints()[canonicalize_name(requirement.name)])


def test_constraints_fit_machines_with_and_without_a_gpu() -> None:
    pins = constraints()
    assert pins["torch"] == "2.13.0"  # no local version: +cpu wheels and plain ones both satisfy it
    assert [name for name in pins if name.startswith(("nvidia-", "cuda-", "triton"))] == []
