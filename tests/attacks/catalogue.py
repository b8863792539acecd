"""Every attack: what the manifest says, which files and pages stand behind it, and the code that it must end in."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.attacks import files, network
from tests.attacks.odd_media import odd_media
from tests.features.media import render_clip, render_picture

if TYPE_CHECKING:
    from pathlib import Path

    from tests.attacks.network import Internet


@dataclass(frozen=True)
class Attack:
    """One row of the manifest.

    Attributes:
        what: The attack, for a person.
        code: The outcome that it must end in.
        row: Fields of the row; without an id it gets one.
        claimed_kind: Set where Download is taken to be fooled: Decode is given ``row["video"]`` as a file of this
            kind.
    """

    what: str
    code: str
    row: dict[str, object]
    claimed_kind: str = ""


@dataclass
class Ground:
    """Where the attacks are mounted.

    Attributes:
        folder: Of the manifest and its media.
        store: Where fetched media will lie.
        outside: Files that nothing may read or write.
        web: The public server, the victim, and the names.
        udp_port: Where a stream would be asked for.
    """

    folder: Path
    store: Path
    outside: Path
    web: Internet
    udp_port: int
    attacks: list[Attack] = field(default_factory=list)

    def add(self, what: str, code: str, **row: object) -> None:
        """Add an attack whose video or cover is a row of the manifest."""
        self.attacks.append(Attack(what, code, row))


def build(ground: Ground) -> list[Attack]:
    """Mount every attack and return the list."""
    for folder in (ground.folder, ground.outside, ground.store):
        folder.mkdir(parents=True)
    files.secret_film(ground.outside / "secret.mp4")
    for add in (_ids, _paths, _urls, _redirects, _servers, _playlists, _fooled_downloads, _bombs, _odd_media, _links):
        add(ground)
    return ground.attacks


def _ids(ground: Ground) -> None:
    clip = render_clip(ground.folder / "healthy.mp4", seconds=1).name
    ground.add("id ../../x", "", id="../../x", video=clip)
    ground.add("absolute id", "", id="/etc/passwd", video=clip)
    ground.add("id of dots", "", id="..", video=clip)
    ground.add("id with NUL", "bad_id", id="a\0b", video=clip)
    ground.add("id with a right-to-left mark", "bad_id", id="gpj\u202e4pm.exe", video=clip)
    ground.add("id of 100,000 characters", "bad_id", id="x" * 100_000, video=clip)
    ground.add("id of 500 characters outside ASCII", "", id="片" * 500, video=clip)
    ground.add("id that is a shell command", "", id="$(touch pwned); `touch pwned`", video=clip)
    ground.add("id that is a tar member's suffix", "", id="healthy.cover.jpg", video=clip)


def _paths(ground: Ground) -> None:
    ground.add("path out of the folder", "path_not_allowed", video="../outside/secret.mp4")
    ground.add("absolute path", "path_not_allowed", video=str(ground.outside / "secret.mp4"))
    ground.add("path with NUL", "file_missing", video="healthy.mp4\0.txt")
    ground.add("path that is an option of ffmpeg", "file_missing", video="-i")
    ground.add("path that is a pattern of ffmpeg", "file_missing", video="healthy%00d.mp4")
    ground.add("path that is a folder", "file_missing", video=".")
    os.mkfifo(ground.folder / "pipe.mp4")
    ground.add("path that is a named pipe", "file_missing", video="pipe.mp4")


def _urls(ground: Ground) -> None:
    secret = ground.outside / "secret.mp4"
    ground.add("file:// URL", "scheme_not_allowed", video=f"file://{secret}")
    ground.add("gopher: URL", "scheme_not_allowed", video="gopher://127.0.0.1:70/_x")
    ground.add("ftp: URL", "scheme_not_allowed", video="ftp://public.example/a.mp4")
    ground.add("concat: protocol of ffmpeg", "file_missing", video=f"concat:{secret}|{secret}")
    ground.add("data: URL", "file_missing", video="data:video/mp4;base64,AAAAGGZ0eXA=")
    web = ground.web
    ground.add("user name and password in the URL", "bad_url", video=web.url("user:secret@public.example", "/a.mp4"))
    victim = web.victim.address.rpartition(":")[2]
    for name, host in {
        "loopback": "127.0.0.1",
        "loopback as a number": network.integer_spelling("127.0.0.1"),
        "loopback in octal": "0177.0.0.1",
        "loopback, short": "127.1",
        "loopback of IPv6": "[::1]",
        "loopback mapped into IPv6": "[::ffff:127.0.0.1]",
        "the unspecified address": "0.0.0.0",  # noqa: S104 - nothing is bound
        "a name of this machine": "localhost",
        "a public name with a private address": "inside.example",
        "a name with one private address of two": "mixed.example",
        "cloud metadata, link-local": "169.254.169.254",
        "a private network": "intranet.example",
        "shared address space": "100.64.0.1",
    }.items():
        ground.add(f"URL of {name}", "address_not_allowed", video=f"http://{host}:{victim}/a.mp4")
    # The address that was checked is the one that is connected to: the film comes from the public server.
    web.public.add("/rebound.mp4", (ground.folder / "healthy.mp4").read_bytes())
    ground.add("DNS rebinding", "", video=web.url(network.REBINDING, "/rebound.mp4"))
    # They arrive as part of the path, and not as a header.
    ground.add("line breaks in the URL", "http_404", video=web.url("public.example", "/a\r\nX-Injected: y"))


def _redirects(ground: Ground) -> None:
    web = ground.web
    victim = web.victim.address.rpartition(":")[2]
    targets = {
        "loopback": (web.victim.url("/inside.mp4"), "address_not_allowed"),
        "a name of loopback": (f"http://inside.example:{victim}/inside.mp4", "address_not_allowed"),
        "link-local": ("http://169.254.169.254/latest/meta-data/", "address_not_allowed"),
        "a private network": ("http://10.0.0.7/", "address_not_allowed"),
        "IPv6 loopback": (f"http://[::1]:{victim}/", "address_not_allowed"),
        "a file": ("file:///etc/passwd", "scheme_not_allowed"),
        "a gopher": ("gopher://127.0.0.1:70/_x", "scheme_not_allowed"),
        "a URL with a password": (web.url("u:p@public.example", "/a.mp4"), "bad_url"),
    }
    for number, (name, (target, code)) in enumerate(targets.items()):
        web.public.pages[f"/to-{number}.mp4"] = network.redirect(target)
        ground.add(f"redirect to {name}", code, video=web.url("public.example", f"/to-{number}.mp4"))
    web.public.pages["/circle.mp4"] = network.redirect("/circle.mp4")
    ground.add("redirects in a circle", "too_many_redirects", video=web.url("public.example", "/circle.mp4"))
    # The body of a redirect is nobody's business: the clip is what it leads to.
    web.public.add("/moved.mp4", (ground.folder / "healthy.mp4").read_bytes())
    web.public.pages["/endless-redirect.mp4"] = network.endless_redirect("/moved.mp4")
    ground.add("redirect with an endless body", "", video=web.url("public.example", "/endless-redirect.mp4"))
    bomb = gzip.compress(bytes(50_000_000))
    web.public.add("/bomb-redirect.mp4", bomb, 302, Location="/moved.mp4", Content_Encoding="gzip")
    ground.add("redirect with 50 MB packed into 50 kB", "", video=web.url("public.example", "/bomb-redirect.mp4"))


def _servers(ground: Ground) -> None:
    web = ground.web
    film = (ground.outside / "secret.mp4").read_bytes()
    pages = {
        "endless body": (network.endless, "too_large"),
        "slow-loris body": (network.trickling_body, "timeout"),
        "slow-loris headers": (network.trickling_headers, "timeout"),
        "silence": (network.silent, "timeout"),
        "Content-Length too large": (network.lying_length(film, len(film) + 1000), "incomplete_body"),
        "Content-Length beyond the limit": (network.lying_length(film, 10**15), "too_large"),
    }
    for number, (name, (page, code)) in enumerate(pages.items()):
        web.public.pages[f"/bad-{number}.mp4"] = page
        ground.add(name, code, video=web.url("public.example", f"/bad-{number}.mp4"))
    bomb = gzip.compress(b"\0\0\0\x18ftypisom" + bytes(50_000_000))
    web.public.add("/bomb.mp4", bomb, Content_Encoding="gzip")
    ground.add("50 MB packed into 50 kB", "too_large", video=web.url("public.example", "/bomb.mp4"))
    web.public.add("/page.mp4", b"<!doctype html><script>alert(1)</script>")
    ground.add("a web page as a video", "not_a_video", video=web.url("public.example", "/page.mp4"))
    web.public.add("/wrong.mp4", film)
    checksum = "sha256:" + "0" * 64
    url = web.url("public.example", "/wrong.mp4")
    ground.add("another file than the checksum says", "checksum_mismatch", video=url, video_checksum=checksum)


def _playlist_files(ground: Ground) -> dict[str, Path]:
    secret = str(ground.outside / "secret.mp4")
    victim = ground.web.victim.url("/inside.ts")
    folder = ground.folder
    return {
        "HLS playlist of a local file": files.playlist(folder / "hls-file.mp4", secret),
        "HLS playlist of a server": files.playlist(folder / "hls-http.mp4", victim),
        "concat list of a local file": files.concat_list(folder / "concat-file.mp4", secret),
        "concat list of a server": files.concat_list(folder / "concat-http.mp4", victim),
        "DASH manifest of a local file": files.text_file(folder / "dash-file.mp4", files.DASH.format(target=secret)),
        "DASH manifest of a server": files.text_file(folder / "dash-http.mp4", files.DASH.format(target=victim)),
        "SDP of a stream": files.text_file(folder / "sdp.mp4", files.SDP.format(port=ground.udp_port)),
        "SVG that refers to a server": files.text_file(folder / "svg.mp4", files.SVG.format(target=victim)),
    }


def _playlists(ground: Ground) -> None:
    for what, path in _playlist_files(ground).items():
        ground.add(f"{what}, named .mp4", "not_a_video", video=path.name)
    cover = files.text_file(ground.folder / "svg.jpg", files.SVG.format(target=ground.web.victim.url("/x.png")))
    clip = "healthy.mp4"
    ground.add("SVG as a cover", "cover_not_a_picture", video=clip, cover=cover.name)


def _fooled_downloads(ground: Ground) -> None:
    """What Decode makes of the same files when somebody has told it that they are containers."""
    codes = {"mp4": "invalid_data", "matroska": "invalid_data", "mpegts": "decode_failed"}
    for (what, path), kind in itertools.product(_playlist_files(ground).items(), codes):
        row: dict[str, object] = {"video": path.name}
        ground.attacks.append(Attack(f"{what}, taken for {kind}", codes[kind], row, kind))


def _bombs(ground: Ground) -> None:
    clip = "healthy.mp4"
    video = files.huge_video(ground.folder / "huge.mp4").name
    ground.add("HEVC of 8192 x 8192", "too_many_pixels", video=video)
    cover = files.huge_png(ground.folder / "huge.png").name
    ground.add("PNG cover of 30,000 x 30,000", "cover_too_many_pixels", video=clip, cover=cover)
    tiles = files.huge_heif(ground.folder / "tiles.avif").name
    ground.add("AVIF cover whose tiles claim 60,000 x 60,000", "cover_too_many_pixels", video=clip, cover=tiles)
    ground.add("AVIF photograph under the name of a video", "not_a_video", video=tiles)


def _odd_media(ground: Ground) -> None:
    for what, (name, code) in odd_media(ground.folder).items():
        ground.add(what, code, video=name)


def _links(ground: Ground) -> None:
    (ground.folder / "link.mp4").symlink_to(ground.outside / "secret.mp4")
    ground.add("symbolic link out of the manifest's folder", "path_not_allowed", video="link.mp4")
    (ground.folder / "circle.mp4").symlink_to("circle.mp4")
    ground.add("symbolic link to itself", "file_unreadable", video="circle.mp4")
    _planted_links(ground)
    cover = render_picture(ground.outside / "cover.png")
    (ground.folder / "cover.png").symlink_to(cover)
    ground.add("cover that is a link", "cover_path_not_allowed", video="healthy.mp4", cover="cover.png")


def _planted_links(ground: Ground) -> None:
    """Links in the media store, where somebody knows under which name a film will be kept."""
    film = (ground.folder / "healthy.mp4").read_bytes()
    places = {
        "link in place of a folder of the store": ground.outside,
        "link that leads nowhere in place of a folder of the store": ground.outside / "nowhere",
        "link to a file in place of a folder of the store": ground.outside / "secret.mp4",
        "link in place of a file of the store": None,
    }
    for number, (what, place) in enumerate(places.items()):
        body = film + b"\0\0\0\x09free" + bytes([number])
        digest = hashlib.sha256(body).hexdigest()
        folder = ground.store / digest[:2]
        if place is not None:
            folder.symlink_to(place)
        else:
            folder.mkdir()
            (folder / f"{digest}.mp4").symlink_to(ground.outside / "secret.mp4")
        ground.web.public.add(f"/linked-{number}.mp4", body)
        code = "" if place is None else "store_not_safe"
        ground.add(what, code, video=ground.web.url("public.example", f"/linked-{number}.mp4"))
