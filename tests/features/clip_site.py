"""A site of many small clips with faults, in a process of its own: what a download meets, in small.

Run as ``python -m tests.features.clip_site``; it prints its port, and ends when its standard input does.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEALTHY = "healthy"
OVERLOADED = "overloaded"
GONE = "gone"
TRUNCATED = "truncated"
STALLED = "stalled"
# Share of the clips with each fault. All but the missing ones are well at the second request.
SHARES = {OVERLOADED: 0.05, GONE: 0.02, TRUNCATED: 0.02, STALLED: 0.01}


@dataclass(frozen=True)
class SitePlan:
    """What is served.

    Attributes:
        num_clips: Clips, ``/00000.mp4`` and so on.
        padding_bytes: Added to each clip, as a box that players skip.
        stall_seconds: How long a stalled body says nothing.
        seed: Decides which clips have which fault.
        faulty: Whether any has.
    """

    num_clips: int = 1000
    padding_bytes: int = 0
    stall_seconds: float = 60.0
    seed: int = 0
    faulty: bool = True

    def faults(self) -> list[str]:
        """The fault of every clip, in order."""
        shares = SHARES if self.faulty else {}
        found = [fault for fault, share in shares.items() for _ in range(round(share * self.num_clips))]
        found += [HEALTHY] * (self.num_clips - len(found))
        random.Random(self.seed).shuffle(found)  # noqa: S311 - no secret
        return found

    def body(self, index: int, rendered: bytes) -> bytes:
        """The clip with a box of its own after its end, so that no two are equal."""
        content = f"{index:08d}".encode().ljust(8 + self.padding_bytes, b".")
        return rendered + (8 + len(content)).to_bytes(4, "big") + b"free" + content


def handler(plan: SitePlan, rendered: bytes) -> type[BaseHTTPRequestHandler]:
    """A class that answers as the plan says."""
    faults = plan.faults()
    seen: set[int] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            index = int(self.path[1:6])
            fault = HEALTHY if index in seen and faults[index] != GONE else faults[index]
            seen.add(index)
            if fault in {OVERLOADED, GONE}:
                self.answer(503 if fault == OVERLOADED else 404, b"")
                return
            body = plan.body(index, rendered)
            if fault == HEALTHY:
                self.answer(200, body)
                return
            self.answer(200, body[: len(body) // 2], len(body))
            self.wfile.flush()
            self.close_connection = True
            if fault == STALLED:
                time.sleep(plan.stall_seconds)

        def answer(self, status: int, body: bytes, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.send_header("ETag", f'"{self.path[1:6]}"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is given
            """Say nothing."""

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until standard input ends."""
    plan, rendered = SitePlan(**json.loads(sys.argv[1])), sys.argv[2]
    with open(rendered, "rb") as stream:  # noqa: PTH123 - nothing else of pathlib is needed at run time
        server = Server(("127.0.0.1", 0), handler(plan, stream.read()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


@contextmanager
def clip_site(plan: SitePlan, rendered: Path) -> Iterator[str]:
    """Run the site and yield the start of its URLs; ``rendered`` is the clip that all of them show."""
    command = [sys.executable, "-m", "tests.features.clip_site", json.dumps(asdict(plan)), str(rendered)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


if __name__ == "__main__":
    main()
