"""What `walras gateway` adds to a request's time under load, and whether it loses a token or a request.

    python tests/support/stub_upstream.py 8001
    python -m walras.experiments.benchmarks.speed.gateway_load --upstream http://127.0.0.1:8001

Requests come evenly, whether earlier ones are answered or not, over 200 connections that stay open: first to the
upstream itself, then through a gateway in a process of its own (with a journal), then to the upstream again. A request
that finds no free connection waits, and its wait counts. Once a second the gateway's metrics are read: granted + over
must be used + returned + expired + outstanding. The upstream should generate nothing, as a stub does.
"""

import asyncio
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, final
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import typer

from walras.errors import InputError
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.progress import Progress
from walras.files.writing import write_whole

BODY = b'{"model": "20", "messages": [{"role": "user", "content": "How much is 2 + 2?"}], "max_tokens": 200}'
_ADDRESS = re.compile(r"gateway is at (http://\S+)/v1")
_TOKENS = re.compile(r"^walras_(\w+?)_tokens(?:_total)?\{[^}]*\} (\S+)$", re.MULTILINE)


@final
@dataclass
class Told:
    """What came of the requests of one part."""

    seconds: list[float] = field(default_factory=list)  # from when a request was due to the end of its answer
    status: "Counter[str]" = field(default_factory=Counter)
    scrapes: int = 0
    uneven: int = 0  # scrapes at which tokens were not conserved


def main(
    upstream: Annotated[str, typer.Option(help="Address of a stub of a model's server.")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("runs/gateway_load.csv"),
    rate: Annotated[float, typer.Option(help="Requests a second.", min=1)] = 500.0,
    seconds: Annotated[float, typer.Option(help="Of the part through the gateway.", min=1)] = 60.0,
    connections: Annotated[int, typer.Option(help="Requests at a time, at most.", min=1)] = 200,
) -> None:
    """Measure, print and write."""
    with ended_in_words(), TemporaryDirectory() as state, progress_bar() as progress:
        rows = []
        for part, address, lasts in parts(upstream, Path(state), rate, seconds):
            memory = resident(address[1])
            told = asyncio.run(load(address[0], rate, lasts, connections, part == "gateway", part, progress))
            rows.append(row(part, told, rate * lasts, memory, resident(address[1])))
    table = pd.DataFrame(rows)
    write_whole(out, str(table.to_csv(index=False, float_format="%.4g")))
    output().print(table.T.to_string(header=False))


def parts(
    upstream: str, state: Path, rate: float, seconds: float
) -> Iterator[tuple[str, tuple[str, int | None], float]]:
    """The upstream alone, the gateway, and the upstream again: name, address and process, seconds."""
    alone = max(seconds / 6, 1.0)
    yield "upstream", (upstream, None), alone
    with gateway(upstream, state, rate) as found:
        yield "gateway", found, seconds
    yield "upstream, again", (upstream, None), alone


@contextmanager
def gateway(upstream: str, state: Path, rate: float) -> Iterator[tuple[str, int]]:
    """A gateway that can fund all requests: its address, and its process.

    Raises:
        InputError: it does not begin.
    """
    words = [
        "gateway", "--upstream", upstream, "--port", "0", "--state", str(state), "--guess", "50", "--per", "10s",
        "--budget", f"{rate * 10 * 400:.0f}", "--dialect", "openai",
    ]  # fmt: skip
    command = [sys.executable, "-P", "-m", "walras", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said, found = "", None
        try:
            for line in process.stdout:
                said += line
                if (found := _ADDRESS.search(line)) is not None:
                    break
            else:
                raise InputError(f"the gateway did not begin: {said.strip()}")
            yield found[1], process.pid
        finally:
            process.terminate()


async def load(
    address: str, rate: float, seconds: float, connections: int, watched: bool, part: str, progress: Progress
) -> Told:
    """Send requests at their times over so many connections."""
    told, total = Told(), int(rate * seconds)
    numbers, began = iter(range(total)), time.perf_counter() + 0.2
    bar = progress.add_task(part, total=total)

    async def sends() -> None:
        line = Connection(address)
        for number in numbers:
            due = began + number / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0.0))
            told.status[await line.post("/v1/chat/completions", BODY)] += 1
            told.seconds.append(time.perf_counter() - due)
            progress.update(bar, advance=1)
        line.close()

    async def watches() -> None:
        while True:
            await asyncio.sleep(1.0)
            line = Connection(address)
            text = await line.get("/metrics")
            line.close()
            tokens: Counter[str] = Counter()
            for name, value in _TOKENS.findall(text):
                tokens[name] += round(float(value))
            kept = tokens["used"] + tokens["returned"] + tokens["expired"] + tokens["outstanding"]
            told.scrapes, told.uneven = told.scrapes + 1, told.uneven + (tokens["granted"] + tokens["over"] != kept)

    watch = asyncio.ensure_future(watches()) if watched else None
    await asyncio.gather(*(sends() for _ in range(min(connections, total))))
    if watch is not None:
        watch.cancel()
    return told


@final
class Connection:
    """An HTTP connection that stays open; what a client library does besides would be measured as well."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> str:
        """The status of the answer, or the name of what went wrong."""
        headers = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        try:
            return (await self._answer("POST", path, headers + body))[0]
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            self.close()
            return type(error).__name__

    async def get(self, path: str) -> str:
        """The body."""
        return (await self._answer("GET", path, b"\r\n"))[1].decode()

    def close(self) -> None:
        """Let it go."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _answer(self, method: str, path: str, rest: bytes) -> tuple[str, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=2**20)
        reader, writer = self._streams
        writer.write(f"{method} {path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\n".encode() + rest)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "content-length" in headers:
            return first.split(" ")[1], await reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return first.split(" ")[1], body


def resident(process: int | None) -> float | None:
    """Megabytes that a process holds; None where the system does not tell."""
    status = Path(f"/proc/{process}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text()) if process is not None and status.is_file() else None
    return None if found is None else int(found[1]) / 1024


def row(part: str, told: Told, wanted: float, before: float | None, after: float | None) -> dict[str, object]:
    """The figures of a part."""
    quantiles = np.quantile(told.seconds, [0.5, 0.99]) * 1000
    answered = told.status["200"]
    return {
        "part": part, "requests": int(wanted), "answered": answered,
        "others": "; ".join(f"{name}: {count}" for name, count in told.status.items() if name != "200"),
        "ms_median": quantiles[0], "ms_p99": quantiles[1], "scrapes": told.scrapes, "not_conserved": told.uneven,
        "mb_before": before, "mb_after": after,
    }  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
