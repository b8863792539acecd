"""A model hub on the loopback interface: the few requests that fetching a model makes, answered from folders."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass
class Hub:
    """What the hub holds, and what it was asked for.

    Attributes:
        models: Id -> revision -> folder; every folder is a commit of its own.
        asked: Method and path of each request, in order.
        address: Start of every URL.
    """

    models: dict[str, dict[str, Path]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def fetched(self) -> list[str]:
        """Return the names of the files whose content was sent, in order."""
        return [line.rpartition("/")[2] for line in self.asked if line.startswith("GET") and "/resolve/" in line]

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers for a path."""
        name = next((name for name in self.models if f"/{name}/" in f"{path}/".removeprefix("/api/models")), None)
        if name is None:
            return 404, b"{}", {"X-Error-Code": "RepoNotFound"}
        kind, _, rest = path.partition(f"/{name}/")[2].partition("/")
        revision, _, file_name = rest.partition("/")
        folder = self._folder(name, revision)
        if folder is None:
            return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
        commit = commit_of(folder)
        if kind == "resolve":
            return _file(folder / file_name, commit)
        listed = [{"type": "file", "path": p.name, "size": p.stat().st_size, "oid": _oid(p)} for p in _files(folder)]
        about = {"id": name, "sha": commit, "siblings": [{"rfilename": entry["path"]} for entry in listed]}
        return 200, json.dumps(listed if kind == "tree" else about).encode(), {}

    def _folder(self, name: str, revision: str) -> Path | None:
        by_commit = {commit_of(folder): folder for folder in self.models[name].values()}
        return self.models[name].get(revision) or by_commit.get(revision)


@contextmanager
def serve_hub(models: Mapping[str, Mapping[str, Path]]) -> Iterator[Hub]:
    """Run a hub with these models for as long as the context lasts."""
    hub = Hub({name: dict(revisions) for name, revisions in models.items()})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            hub.asked.append(f"{self.command} {path}")
            status, body, headers = hub.answer(path)
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name is given

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is given
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def commit_of(folder: Path) -> str:
    """Return a made-up commit, which follows from the contents."""
    return hashlib.sha1(b"".join(p.name.encode() + p.read_bytes() for p in _files(folder))).hexdigest()  # noqa: S324


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _oid(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()  # noqa: S324 - as git names contents


def _file(path: Path, commit: str) -> tuple[int, bytes, dict[str, str]]:
    if not path.is_file():
        return 404, b"", {"X-Error-Code": "EntryNotFound"}
    return 200, path.read_bytes(), {"ETag": f'"{_oid(path)}"', "X-Repo-Commit": commit}
