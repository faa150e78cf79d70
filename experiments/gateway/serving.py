"""The server: uvicorn on a socket, until it is told to end."""

import socket

import uvicorn

from walras.experiments.gateway.app import Gateway

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
