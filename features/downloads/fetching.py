"""One URL -> one file in the store: redirects, attempts, pauses and what is kept between them."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from features.base.errors import ClipError, TransientError
from features.base.outcomes import is_transient
from features.downloads.body import HTTP_BAD_RANGE, HTTP_OK, HTTP_PARTIAL, finished_before, range_headers, receive
from features.http.guard import Guard
from features.http.rate_limit import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from features.downloads.download_rows import MediaFile
    from features.downloads.media_spec import Wanted
    from features.downloads.store import MediaStore, Partial
    from features.http.client import Answer, HttpClient
    from features.http.config import HttpConfig
    from features.http.rate_limit import HostGates, Steps

# Pauses are drawn between 0 and 1, 2, 4, ... times this: full jitter (Brooker, "Exponential backoff and jitter", 2015).
FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 60.0
MAX_URL_CHARACTERS = 8192
# How soon somebody looks again after a file that another thread is fetching.
BUSY_SECONDS = 0.1
OVERLOADED = frozenset({429, 503})


def host_of(url: str) -> str:
    """Return the host that politeness counts a URL for: its name, whatever the port.

    Raises:
        ClipError: ``scheme_not_allowed`` or ``bad_url``, without the URL's user name and password in its text.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise ClipError("bad_url", f"the URL has {len(url):,} characters, more than {MAX_URL_CHARACTERS:,}")
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port
    except ValueError as error:
        raise ClipError("bad_url", f"the URL cannot be read: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise ClipError("scheme_not_allowed", f"{parts.scheme or 'no scheme'}: only http and https are fetched")
    if parts.username is not None or parts.password is not None:
        raise ClipError("bad_url", "a URL with a user name or password is not fetched")
    return host


@dataclass
class _Trip:
    """How far one URL has come.

    Attributes:
        url: What was asked for.
        target: Where redirects have led.
        attempts: Requests that failed.
        redirects: Followed since the last attempt began.
        mismatches: Whole bodies with another checksum.
        spent_seconds: In requests.
        not_before: Monotonic time of the next request.
    """

    url: str
    target: str = field(init=False)
    attempts: int = 0
    redirects: int = 0
    mismatches: int = 0
    spent_seconds: float = 0.0
    not_before: float = 0.0

    def __post_init__(self) -> None:
        self.target = self.url

    def start_again(self, pause_seconds: float = 0.0) -> None:
        """Ask for the first address again, since what redirects lead to may have run out."""
        self.target, self.redirects = self.url, 0
        self.not_before = time.monotonic() + pause_seconds


class Fetcher:
    """Fetches URLs into a store; safe from many threads.

    Args:
        config: The limits.
        store: Where files go.
        client: What asks.
        gates: Who says when.
        on_bytes: Told of every piece that arrives.
        refetch: Do not believe what is in the store, unless it was put there by this fetcher.
    """

    def __init__(
        self,
        config: HttpConfig,
        store: MediaStore,
        client: HttpClient,
        gates: HostGates,
        on_bytes: Callable[[int], None],
        *,
        refetch: bool = False,
    ) -> None:
        self._config = config
        self._store = store
        self._client = client
        self._gates = gates
        self._on_bytes = on_bytes
        self._refetch = refetch
        # URL -> sha256 of the files that came since this fetcher was made, noted where they are told from older ones.
        self._fetched: dict[str, str] = {}

    def known(self, url: str, wanted: Wanted) -> MediaFile | None:
        """Return the file that was fetched from ``url`` before, if it is there and will do."""
        found = self._store.find(url)
        if found is None or not wanted.accepts(found):
            return None
        if self._refetch and self._fetched.get(url) != found.sha256:
            return None
        return found if wanted.accepts_content(self._store.folder / found.path) else None

    def fetch(self, url: str, wanted: Wanted) -> Steps[MediaFile]:
        """Return the stored file of a URL, in steps of one request each.

        A failure that may pass is tried again after a pause, from where the body broke off if that can be proved.

        Args:
            url: Where it is.
            wanted: What it has to be.

        Raises:
            ClipError: See docs/download.md.
        """
        trip = _Trip(url)
        busy = False
        host_of(url)
        while True:
            yield Turn("" if busy else host_of(trip.target), trip.not_before)
            partial = self._store.claim(url)
            if partial is None:
                busy, trip.not_before = True, time.monotonic() + BUSY_SECONDS
                continue
            with partial:
                # Whoever had the file until now may have finished it.
                found = self.known(url, wanted)
                if found is None and busy:
                    busy, trip.not_before = False, 0.0
                    continue
                found = found or self._step(trip, partial, wanted)
            if found is not None:
                return found

    def _step(self, trip: _Trip, partial: Partial, wanted: Wanted) -> MediaFile | None:
        """Return the file, or ``None`` when another request is due."""
        started = time.monotonic()
        try:
            try:
                return self._ask(trip, partial, wanted)
            finally:
                trip.spent_seconds += time.monotonic() - started
        except TransientError as error:
            self._count(trip, error)
        except ClipError as error:
            if not is_transient(error.code):
                partial.discard()
            if error.code != "checksum_mismatch" or trip.mismatches:
                raise
            # Damage on the way is rarer than a wrong manifest; one more fetch tells.
            trip.mismatches += 1
            trip.start_again()
        return None

    def _ask(self, trip: _Trip, partial: Partial, wanted: Wanted) -> MediaFile | None:
        host = host_of(trip.target)
        closed = self._gates.closed(host)
        if closed is not None:
            code, left = closed
            raise ClipError(code, f"{host} is left alone for {left:.0f} s more")
        facts = finished_before(partial, wanted)
        if facts is None:
            left = self._config.max_seconds - trip.spent_seconds
            guard = Guard(self._config.timeout_seconds, left)
            with self._answer(host, trip.target, range_headers(partial, wanted), guard) as answer:
                if answer.redirect_target:
                    self._follow(trip, answer.redirect_target)
                    return None
                self._check_status(answer, partial, host)
                self._gates.went_well(host)
                facts = receive(answer, partial, wanted, self._config, self._on_bytes)
        if self._refetch:
            # Before it is published: whoever finds the URL free then finds its new file.
            self._fetched[trip.url] = facts.sha256
        return self._store.add(partial.path, trip.url, facts)

    @contextmanager
    def _answer(self, host: str, url: str, headers: Mapping[str, str], guard: Guard) -> Iterator[Answer]:
        """Yield what the client yields, and tell the gates whether the host could be reached."""
        with ExitStack() as stack:
            try:
                answer = stack.enter_context(self._client.get(url, headers, guard))
            except TransientError:
                self._gates.not_reached(host)
                raise
            self._gates.reached(host)
            yield answer

    def _follow(self, trip: _Trip, target: str) -> None:
        trip.redirects += 1
        if trip.redirects > self._config.max_redirects:
            raise ClipError("too_many_redirects", f"more than max_redirects = {self._config.max_redirects}")
        try:
            trip.target = urljoin(trip.target, target)
        except ValueError as error:
            raise ClipError("bad_url", f"a redirect leads nowhere: {error}") from error
        trip.not_before = 0.0
        host_of(trip.target)

    def _check_status(self, answer: Answer, partial: Partial, host: str) -> None:
        status = answer.status
        if status in {HTTP_OK, HTTP_PARTIAL}:
            return
        code, detail = f"http_{status}", f"the server answered {status}"
        if status == HTTP_BAD_RANGE and partial.facts is not None:
            partial.discard()
            raise TransientError(code, detail)
        if not is_transient(code):
            raise ClipError(code, detail)
        pause = answer.retry_after_seconds()
        if status in OVERLOADED or pause:
            self._gates.overloaded(host, pause)
        if pause > self._config.max_retry_after_seconds:
            raise ClipError("retry_after_too_long", f"{detail} and asks to be left alone for {pause:.0f} s")
        raise TransientError(code, detail)

    def _count(self, trip: _Trip, error: TransientError) -> None:
        """Set when a failed request is tried again, if it is."""
        trip.attempts += 1
        if trip.spent_seconds >= self._config.max_seconds:
            raise ClipError("timeout", f"longer than max_seconds = {self._config.max_seconds:g}") from error
        if trip.attempts >= self._config.max_attempts:
            raise ClipError(error.code, f"{error.detail} ({trip.attempts} attempts)") from error
        longest = min(FIRST_PAUSE_SECONDS * 2.0 ** (trip.attempts - 1), MAX_PAUSE_SECONDS)
        trip.start_again(random.uniform(0.0, longest))  # noqa: S311 - no secret
