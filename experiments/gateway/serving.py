"""The server: uvicorn on a socket, until it is told to end; or from a thread, as long as somebody needs it."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from walras.errors import WalrasError
from walras.experiments.gateway.app import Gateway
from walras.experiments.listening import bound

_GRACE = 5  # seconds that requests have to end when the server does; then they are cut off, and settled


def server_of(gateway: Gateway) -> uvicorn.Server:
    """A server that is not running."""
    config = uvicorn.Config(
        gateway.app, log_level="error", access_log=False, lifespan="on", ws="none", server_header=False,
        date_header=False, timeout_graceful_shutdown=_GRACE, h11_max_incomplete_event_size=2**16,
    )  # fmt: skip
    return uvicorn.Server(config)


def serve(gateway: Gateway, listening: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    server_of(gateway).run(sockets=[listening])


@contextmanager
def serving(gateway: Gateway) -> Iterator[str]:
    """The address of a gateway that is served from a thread, on a port of this machine that was free.

    Raises:
        WalrasError: the server ends before it begins to serve.
    """
    with bound("127.0.0.1", 0) as listening:
        server = server_of(gateway)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise WalrasError("a gateway ended before it began to serve")
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
