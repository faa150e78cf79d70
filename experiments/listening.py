"""Where a server of ours listens, and what pages of other sites may not ask of it."""

import errno
import ipaddress
import os
import socket
from typing import Any, final
from urllib.parse import urlsplit

from walras.errors import InputError


def bound(host: str, port: int) -> socket.socket:
    """A socket on which nobody else listens; port 0 is any that is free.

    Raises:
        InputError: a port that is taken or may not be used, or a host that this machine is not.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port is {port}; it must be a number from 0 to 65535")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        found = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere it would let two servers have one port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(address)
            found.listen(128)
        except OSError:
            found.close()
            raise
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
            valid = "an address of this machine, or 0.0.0.0 for all of them"
            raise InputError(f"--host is {host}: {why}; valid: {valid}") from error
        raise InputError(
            f"cannot listen on port {port} of {host}: {why}. Another one: --port {port + 1 if port < 65535 else 0}, or "
            "--port 0 for any that is free"
        ) from error
    return found


def is_local(host: str) -> bool:
    """Whether only this machine reaches a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@final
class OwnPages:
    """Refuses what a page of another site asks of this server: by its `Origin`, and by the `Host` it calls us.

    Args:
        app: the application behind it.
        local: whether it may be called by the names of this machine alone.
    """

    def __init__(self, app: Any, local: bool) -> None:
        self.app, self.local = app, local

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let through, or refuse with 403."""
        if scope["type"] not in ("http", "websocket") or self._fits(dict(scope["headers"])):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            said = b"refused: asked under another host's name, or by a page of another site\n"
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": said})

    def _fits(self, headers: dict[bytes, bytes]) -> bool:
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        try:
            name, site = urlsplit(f"//{host}").hostname or "", urlsplit(origin).netloc
        except ValueError:  # no address
            return False
        return (not self.local or is_local(name)) and (not origin or site == host)
