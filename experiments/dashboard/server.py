"""The server of the dashboard: solara's pages by uvicorn on this machine alone, with all that a browser loads from it.

Solara as it comes loads styles and scripts from a public server on the web, and tells its makers of every visit. Here
they come from the package solara-assets, by an address of our own, and nobody is told: no request leaves the machine.
"""

import importlib.util
import os
import socket
import sys
import threading
import time
import warnings
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from walras.errors import InputError
from walras.experiments.dashboard.launch import Launch
from walras.experiments.listening import OwnPages
from walras.extras import installing

HOST, PORT = "127.0.0.1", 8765
ASSETS = "/walras-assets"
"""Address below which the page finds styles and scripts."""
NEEDED = ("@widgetti/solara-vuetify-app@10.1.1/dist", "requirejs@2.3.6/require.js")
"""What solara's page loads, in the folder of solara-assets."""
PACKAGES = ("solara", "ipyvuetify", "starlette", "uvicorn")
SETTINGS = {
    "SOLARA_APP": "walras.experiments.dashboard.pages.page:Page",
    "SOLARA_ASSETS_PROXY": "false",
    "SOLARA_ASSETS_CDN": ASSETS,
    "SOLARA_ASSETS_FONTAWESOME_ENABLED": "false",
    "SOLARA_TELEMETRY_MIXPANEL_ENABLE": "false",
    "SOLARA_THEME_SHOW_BANNER": "false",
    "SOLARA_THEME_TITLE": "Walras",
    "SOLARA_THEME_VARIANT": "light",  # with auto, solara 1.64 makes a page without a body
    "SOLARA_KERNEL_CULL_TIMEOUT": "60s",
}
"""Of solara: read when it is imported, from the environment. A visit that has ended is let go after a minute."""
_GRACE = 1  # seconds for pages that are open when the server ends


def check_installed() -> None:
    """Refuse to begin without the packages, and without what their pages load.

    Raises:
        InputError: what is missing, and the line that installs it.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not missing and not all((assets_folder() / path).exists() for path in NEEDED):
        missing = ["solara-assets"]
    if missing:
        raise InputError(f"the dashboard needs {', '.join(missing)}: {installing('viz', *missing)}")


def assets_folder() -> Path:
    """Where solara-assets puts styles and scripts."""
    return Path(sys.prefix) / "share" / "solara" / "cdn"


@final
class Server:
    """Serves the dashboard on a socket, until it is told to stop.

    Args:
        launch: what every page begins with.
        listening: the socket.
        local: whether it is to be reached from this machine alone, by its own names.
    """

    def __init__(self, launch: Launch, listening: socket.socket, *, local: bool = True) -> None:
        os.environ.update(SETTINGS)
        warnings.filterwarnings("ignore", "Cookies with samesite=none require https", UserWarning)  # ours need none
        import uvicorn

        from walras.experiments.dashboard.pages.page import start_with

        start_with(launch)
        host, port = listening.getsockname()[:2]
        self.url = f"http://{'[' + host + ']' if ':' in host else host}:{port}/"
        self._socket = listening
        config = uvicorn.Config(
            _application(local), log_level="error", timeout_graceful_shutdown=_GRACE, ws_max_size=2**24, lifespan="on"
        )
        self._server = uvicorn.Server(config)

    @property
    def started(self) -> bool:
        """Whether it answers."""
        return bool(self._server.started)

    def run(self) -> None:
        """Serve until `stop`, or Ctrl-C."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Ask it to end."""
        self._server.should_exit = True

    def when_started(self, then: Callable[[], object]) -> None:
        """Do something once it answers."""

        def wait() -> None:
            while not self.started and not self._server.should_exit:
                time.sleep(0.05)
            if self.started:
                then()

        threading.Thread(target=wait, name="walras-started", daemon=True).start()


def open_browser(url: str) -> bool:
    """Open a page where there is a screen; no browser of a terminal, which would take its place."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


def _application(local: bool) -> Any:
    """Solara's pages, our assets, and a door that lets no other site's page in."""
    import solara.server.starlette
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    solara.server.settings.main.mode = "production"
    inner = solara.server.starlette.app
    routes = [Mount(ASSETS, StaticFiles(directory=assets_folder())), Mount("/", inner)]
    return Starlette(
        routes=routes, middleware=[Middleware(OwnPages, local=local)], lifespan=inner.router.lifespan_context
    )
