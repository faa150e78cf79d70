"""The server listens where it is told, lets in this machine's own pages alone, and says what is missing."""

import importlib.util
import socket
from pathlib import Path
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.dashboard import server
from walras.experiments.dashboard.launch import Launch, check_folder
from walras.experiments.dashboard.server import check_installed, open_browser
from walras.experiments.listening import OwnPages, bound, is_local
from walras.experiments.store.run_folder import ROUNDS


def test_a_port_that_is_taken_is_told_with_another_one() -> None:
    with bound("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen on port {port} of 127.0.0.1: .*--port 0"):
            bound("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 70000), ("127.0.0.1", -1), ("no such host", 0), ("203.0.113.7", 0)]
)
def test_places_where_nobody_can_listen_are_refused(host: str, port: int) -> None:
    with pytest.raises(InputError):
        bound(host, port)


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
                        ("0.0.0.0", False), ("192.168.1.2", False), ("evil.example", False), ("", False)],
)  # fmt: skip
def test_addresses_of_this_machine_alone(host: str, local: bool) -> None:
    assert is_local(host) is local


@pytest.mark.parametrize(
    ("local", "host", "origin", "fits"),
    [(True, "127.0.0.1:8765", "", True), (True, "localhost:8765", "http://localhost:8765", True),
     (True, "evil.example", "", False), (True, "127.0.0.1:8765", "http://evil.example", False),
     (True, "127.0.0.1:8765", "http://127.0.0.1:9999", False), (True, "", "", False),
     (True, "[::1", "", False), (True, "127.0.0.1:8765", "http://[", False), (False, "[::1", "", False),
     (False, "box.lan:80", "http://box.lan:80", True), (False, "box.lan:80", "http://evil.example", False)],
)  # fmt: skip
def test_pages_of_other_sites_are_kept_out(local: bool, host: str, origin: str, fits: bool) -> None:
    headers = {b"host": host.encode(), **({b"origin": origin.encode()} if origin else {})}
    assert OwnPages(None, local)._fits(headers) is fits


def test_a_missing_package_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "solara" else find(name))
    with pytest.raises(InputError, match=r"needs solara: pip install '.\[viz\]' .*\(or pip install solara\)"):
        check_installed()


def test_missing_assets_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server, "PACKAGES", ())
    monkeypatch.setattr(server, "assets_folder", lambda: tmp_path)
    with pytest.raises(InputError, match="needs solara-assets"):
        check_installed()


def test_without_a_screen_no_browser_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("webbrowser.open", lambda url: pytest.fail("a browser was opened"))
    assert not open_browser("http://127.0.0.1/")


def test_folders_are_told_apart(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    check_folder(run_folder)
    assert Launch(toy=24, runs=tmp_path).run_folders == [run_folder]
    assert Launch(toy=24, runs=tmp_path).token_folders == []
    for folder in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(InputError):
            check_folder(folder)


def test_a_socket_is_free_again_at_once() -> None:
    with bound("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
    with bound("127.0.0.1", port) as again:
        assert isinstance(again, socket.socket)


def test_what_another_site_asks_ends_with_403() -> None:
    sent: list[Any] = []

    async def told(message: Any) -> None:
        sent.append(message)

    async def nothing() -> Any:
        return {}

    scope = {"type": "http", "headers": [(b"host", b"evil.example")]}
    coroutine = OwnPages(None, True)(scope, nothing, told)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert sent[0]["status"] == 403


def test_folders_that_may_not_be_looked_into_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ROUNDS).touch()
    for name in ("is_file", "is_dir", "glob"):
        monkeypatch.setattr(Path, name, _refusing(getattr(Path, name)))
    launch = Launch(runs=tmp_path)
    assert launch.run_folders == [tmp_path / "run"]
    assert launch.token_folders == []
    assert Launch(runs=tmp_path / "private").run_folders == []


def _refusing(asked: Any) -> Any:
    """As the system does for a folder of somebody else's, also where the tests run as root."""

    def look(path: Path, *more: Any) -> Any:
        if "private" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return asked(path, *more)

    return look
