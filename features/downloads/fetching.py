"""Fetches one URL into one file of the store: redirects, retries, pauses, and the state between them."""

from __future__ import annotations

import functools
import random
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from features.base.errors import ClipError, TransientError
from features.base.outcomes import is_transient
from features.downloads.body import HTTP_BAD_RANGE, HTTP_PARTIAL, WHOLE_STATUSES, complete_facts, range_headers, receive
from features.http.guard import Guard
from features.http.rate_limit import Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from features.downloads.download_rows import MediaFile
    from features.downloads.media_spec import MediaSpec
    from features.downloads.store import MediaStore, Partial
    from features.http.client import HttpClient, Response
    from features.http.config import HttpConfig
    from features.http.rate_limit import FetchSteps, HostLimiter

# Pauses are drawn between 0 and 1, 2, 4, ... times this: full jitter (Brooker, "Exponential backoff and jitter", 2015).
FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 60.0
MAX_URL_CHARACTERS = 8192
# Pause before the next look at a file that another thread is fetching.
BUSY_SECONDS = 0.1
# Statuses from here on are errors; an attempt at once may pass over a transient one.
HTTP_ERRORS = 400
OVERLOADED = frozenset({429, 503})


@functools.lru_cache(maxsize=1024)
def host_of(url: str) -> str:
    """Return the host to whose rate limit a URL counts: its name, whatever the port.

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
class _FetchState:
    """The progress of one URL.

    Attributes:
        url: The URL as the manifest names it.
        target: The URL of the next request, after redirects.
        attempts: Failed requests.
        redirects: Redirects followed in this attempt.
        mismatches: Whole bodies with another checksum.
        spent_seconds: Time spent in requests.
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

    def restart_from_origin(self, pause_seconds: float = 0.0) -> None:
        """Go back to the first URL, since the targets of redirects may have expired."""
        self.target, self.redirects = self.url, 0
        self.not_before = time.monotonic() + pause_seconds


class Fetcher:
    """Fetches URLs into a store; safe from many threads.

    Args:
        config: The limits.
        store: Receives the files.
        client: Sends the requests.
        limiter: The rate limits of the hosts.
        on_bytes: Called with the size of every piece that arrives.
        refetch: Reuse no file of the store that this fetcher did not fetch.
    """

    def __init__(
        self,
        config: HttpConfig,
        store: MediaStore,
        client: HttpClient,
        limiter: HostLimiter,
        on_bytes: Callable[[int], None],
        *,
        refetch: bool = False,
    ) -> None:
        self._config = config
        self._store = store
        self._client = client
        self._limiter = limiter
        self._on_bytes = on_bytes
        self._refetch = refetch
        # URL -> sha256 of the files fetched since this fetcher was made; filled with ``refetch`` only, where they have
        # to be distinguished from older ones.
        self._fetched: dict[str, str] = {}

    def known(self, url: str, spec: MediaSpec) -> MediaFile | None:
        """Return the stored file of ``url`` if it exists and meets ``spec``, else ``None``."""
        found = self._store.find(url)
        if found is None or not spec.accepts(found):
            return None
        if self._refetch and self._fetched.get(url) != found.sha256:
            return None
        return found if spec.accepts_content(self._store.folder / found.path) else None

    def fetch(self, url: str, spec: MediaSpec) -> FetchSteps[MediaFile]:
        """Return the stored file of a URL, in steps of one request each.

        A transient failure is retried after a pause; the body is resumed where it broke off if the server's validators
        or a checksum prove that the file is the same.

        Args:
            url: The URL.
            spec: The checks that the file has to pass.

        Raises:
            ClipError: See docs/download.md.
        """
        state = _FetchState(url)
        busy = False
        host_of(url)
        while True:
            yield Slot("" if busy else host_of(state.target), state.not_before)
            partial = self._store.claim(url)
            if partial is None:
                busy, state.not_before = True, time.monotonic() + BUSY_SECONDS
                continue
            with partial:
                # The former holder of the lock may have finished the file.
                found = self.known(url, spec)
                if found is None and busy:
                    busy, state.not_before = False, 0.0
                    continue
                found = found or self._step(state, partial, spec)
            if found is not None:
                return found

    def _step(self, state: _FetchState, partial: Partial, spec: MediaSpec) -> MediaFile | None:
        """Return the file, or ``None`` when another request is due."""
        started = time.monotonic()
        try:
            try:
                return self._ask(state, partial, spec)
            finally:
                state.spent_seconds += time.monotonic() - started
        except TransientError as error:
            self._count(state, error)
        except ClipError as error:
            if not is_transient(error.code):
                partial.discard()
            if error.code != "checksum_mismatch" or state.mismatches:
                raise
                # A wrong manifest is more likely than damage in transit; one more fetch decides.
            state.mismatches += 1
            state.restart_from_origin()
        return None

    def _ask(self, state: _FetchState, partial: Partial, spec: MediaSpec) -> MediaFile | None:
        host = host_of(state.target)
        closed = self._limiter.closed(host)
        if closed is not None:
            code, left = closed
            raise ClipError(code, f"no request is sent to {host} for {left:.0f} s more")
        facts = complete_facts(partial, spec)
        if facts is None:
            left = self._config.max_seconds - state.spent_seconds
            guard = Guard(self._config.timeout_seconds, left)
            with self._response(host, state.target, range_headers(partial, spec), guard) as response:
                if response.redirect_target:
                    self._follow(state, response.redirect_target)
                    return None
                self._check_status(response, partial, host)
                self._limiter.succeeded(host)
                facts = receive(response, partial, spec, self._config, self._on_bytes)
        if self._refetch:
            # Before it is published: a thread that then finds the URL unlocked finds its new file.
            self._fetched[state.url] = facts.sha256
        return self._store.add(partial, state.url, facts)

    @contextmanager
    def _response(self, host: str, url: str, headers: Mapping[str, str], guard: Guard) -> Iterator[Response]:
        """Yield the client's response, and record in the limiter whether the host could be reached."""
        with ExitStack() as stack:
            try:
                response = stack.enter_context(self._client.get(url, headers, guard))
            except TransientError:
                self._limiter.not_reached(host)
                raise
            self._limiter.reached(host)
            yield response

    def _follow(self, state: _FetchState, target: str) -> None:
        state.redirects += 1
        if state.redirects > self._config.max_redirects:
            raise ClipError("too_many_redirects", f"more than max_redirects = {self._config.max_redirects}")
        try:
            state.target = urljoin(state.target, target)
        except ValueError as error:
            raise ClipError("bad_url", f"a redirect leads nowhere: {error}") from error
        state.not_before = 0.0
        host_of(state.target)

    def _check_status(self, response: Response, partial: Partial, host: str) -> None:
        status = response.status
        if status in WHOLE_STATUSES or status == HTTP_PARTIAL:
            return
        code, detail = f"http_{status}", f"the server answered {status}"
        if status == HTTP_BAD_RANGE and partial.facts is not None:
            partial.discard()
            raise TransientError(code, detail)
        if status < HTTP_ERRORS or not is_transient(code):
            raise ClipError(code, detail)
        pause = response.retry_after_seconds()
        if status in OVERLOADED or pause:
            self._limiter.overloaded(host, pause)
        if pause > self._config.max_retry_after_seconds:
            raise ClipError("retry_after_too_long", f"{detail} and asks for a pause of {pause:.0f} s")
        raise TransientError(code, detail)

    def _count(self, state: _FetchState, error: TransientError) -> None:
        """Count a failed request and schedule the retry, or raise where the limits allow none."""
        state.attempts += 1
        if state.spent_seconds >= self._config.max_seconds:
            raise ClipError("timeout", f"longer than max_seconds = {self._config.max_seconds:g}") from error
        if state.attempts >= self._config.max_attempts:
            raise ClipError(error.code, f"{error.detail} ({state.attempts} attempts)") from error
        longest = min(FIRST_PAUSE_SECONDS * 2.0 ** (state.attempts - 1), MAX_PAUSE_SECONDS)
        state.restart_from_origin(random.uniform(0.0, longest))  # noqa: S311 - no secret
