"""Rows fetched over HTTP with a cursor. Imports httpx.

Promises: certificates are checked, redirects are not followed, a next link leads to the same server
only, the token goes into no message; an answer is cut off at the largest size; 429, 5xx and broken lines
are tried again, later each time, and `Retry-After` is kept; what is not known to have changed (ETag,
Last-Modified) is not sent again. The cursor is handed out with the rows it stands behind.
"""

from __future__ import annotations

import hashlib
import random
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from app.errors import Forbidden, Invalid, Unavailable
from app.feeds.base import BATCH, Batch, Cursor, PullSettings, read_secret
from app.feeds.records import chunk_of, lines_of, read_json, records_of
from app.services.event_files import _reach
from app.services.event_mapping import EventMapping

LARGEST = 64 << 20
MOST_PAGES = 10_000
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class PullSource:
    """Fetches pages until there is nothing new.

    Parameters
    ----------
    settings : the address
    mapping : what is read of the rows
    sleep, jitter : how one waits between tries; a test waits for nothing
    """

    def __init__(
        self,
        settings: PullSettings,
        mapping: EventMapping,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self.mapping = mapping
        self.problems: list[str] = []
        self._sleep, self._jitter = sleep, jitter
        token = read_secret(settings.token_file)
        try:
            ca = settings.ca_file
            trust: Any = ssl.create_default_context(cafile=str(ca)) if ca else True
        except (OSError, ssl.SSLError) as error:
            raise Invalid(f"{settings.ca_file} holds no certificates") from error
        self._client = httpx.Client(
            verify=trust,
            timeout=settings.timeout_s,
            follow_redirects=False,
            headers={"Accept-Encoding": "gzip"}
            | ({"Authorization": f"Bearer {token}"} if token else {}),
        )

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def batches(self, cursor: Cursor) -> Iterator[Batch]:
        """Fetch page after page.

        Raises
        ------
        Unavailable, Forbidden, Invalid
            The server does not answer, refuses, or sends what is no list of rows.
        """
        for _ in range(MOST_PAGES):
            answer = self._ask(cursor)
            if answer.status_code == 304:
                return
            digest = hashlib.sha256(answer.content).hexdigest()[:40]
            records, following = self._read(answer, cursor)
            following["digest"] = digest
            same = following.get("value") == cursor.get("value")
            if same and (digest == cursor.get("digest") or not records):
                return
            n = int(cursor.get("n", 0))
            pieces = list(range(0, max(len(records), 1), BATCH))
            for at in pieces:
                piece = records[at : at + BATCH]
                yield Batch(
                    key=f"page-{n}-{at}-{digest}",
                    origin=f"{_shown(self.settings.url)} {self._behind(cursor, n)}"[:480],
                    chunk=chunk_of(piece, self.mapping),
                    point=self.mapping.columns.point,
                    # only the last piece moves the cursor: a page is begun again from its start
                    cursor={**following, "n": n + 1} if at == pieces[-1] else cursor,
                    before=cursor,
                    places=[str(at + line) for line in range(1, len(piece) + 1)],
                )
            cursor = {**following, "n": n + 1}
            if same or not records:
                return

    def _behind(self, cursor: Cursor, n: int) -> str:
        """Say which page it is; an address of a page may hold a key in its query, as ours may."""
        if self.settings.cursor == "link":
            return f"page {n + 1}"
        return f"after {cursor.get('value', '-')}"

    def _ask(self, cursor: Cursor) -> httpx.Response:
        own = self.settings
        url, query = own.url, {}
        value = cursor.get("value")
        if value is not None:
            if own.cursor == "link":
                url = str(value)
            else:
                query[own.cursor_param] = str(value)
        headers = {"Accept": "application/json, application/x-ndjson"}
        if cursor.get("etag"):
            headers["If-None-Match"] = cursor["etag"]
        elif cursor.get("modified"):
            headers["If-Modified-Since"] = cursor["modified"]
        address = httpx.URL(url)
        if query:
            address = address.copy_merge_params(query)
        for tried in range(1, own.tries + 1):
            said, wait = "", 0.0
            try:
                answer = self._get(address, headers)
                if answer.status_code in {200, 304}:
                    return answer
                if answer.status_code in {401, 403}:
                    raise Forbidden(f"{_shown(url)} refuses us ({answer.status_code})")
                said = f"answered {answer.status_code}"
                if answer.status_code not in _AGAIN:
                    raise Unavailable(f"{_shown(url)} {said}")
                wait = _retry_after(answer)
            except httpx.HTTPError as error:
                said = f"does not answer ({type(error).__name__})"
            if tried == own.tries:
                raise Unavailable(f"{_shown(url)} {said}, {tried} times")
            pause = min(FIRST_WAIT * 2.0 ** (tried - 1), LONGEST_WAIT) * (0.5 + self._jitter() / 2)
            self._sleep(min(max(pause, wait), LONGEST_WAIT))
        raise AssertionError

    def _get(self, address: httpx.URL, headers: dict[str, str]) -> httpx.Response:
        body = bytearray()
        with self._client.stream("GET", address, headers=headers) as answer:
            packed = answer.headers.get("content-encoding", "").strip().lower()
            if packed not in {"", "identity", "gzip"}:
                # packed twice, or better than gzip can, a few kilobytes are gigabytes at once
                raise Invalid(
                    f"{_shown(str(address))} answers packed as {packed[:40]!r}, not as gzip"
                )
            for part in answer.iter_bytes():
                body += part
                if len(body) > LARGEST:
                    raise Invalid(f"{_shown(str(address))} sends more than {LARGEST >> 20} MB")
            told = {
                name: value
                for name, value in answer.headers.items()
                if name not in {"content-encoding", "content-length", "transfer-encoding"}
            }
            return httpx.Response(answer.status_code, headers=told, content=bytes(body))

    def _read(self, answer: httpx.Response, cursor: Cursor) -> tuple[list[Any], Cursor]:
        own = self.settings
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        body: Any = None
        if kind in {"application/x-ndjson", "application/jsonl", "application/geo+json-seq"}:
            records = lines_of(answer.content)
        else:
            records = records_of(answer.content, own.records)
            body = read_json(answer.content) if own.cursor else None
        value = cursor.get("value")
        how, _, where = own.cursor.partition(":")
        if how == "answer":
            told = _reach(body, where) if isinstance(body, dict) else None
            # a last page names none: the same one is asked again next time
            value = told if isinstance(told, str | int | float) and told != "" else value
        elif how == "row":
            value = _highest([_reach(r, where) for r in records if isinstance(r, dict)], value)
        elif how == "link":
            value = self._next_link(answer, body) or value
        found: Cursor = {} if value is None else {"value": value}
        if value == cursor.get("value"):
            # the tag belongs to the address that was asked: it holds only while it stays
            if answer.headers.get("etag"):
                found["etag"] = answer.headers["etag"][:500]
            elif answer.headers.get("last-modified"):
                found["modified"] = answer.headers["last-modified"][:100]
        return records, found

    def _next_link(self, answer: httpx.Response, body: Any) -> str | None:
        found = answer.links.get("next", {}).get("url")
        links = body.get("links") if isinstance(body, dict) else None
        if not found and isinstance(links, list):
            for one in links:
                if isinstance(one, dict) and one.get("rel") == "next":
                    found = str(one.get("href", ""))
        if not found:
            return None
        here, there = urlsplit(self.settings.url), urlsplit(urljoin(self.settings.url, found))
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            raise Invalid(f"{_shown(self.settings.url)}: its next page is on another server")
        return there.geturl()


def _highest(values: list[Any], before: Any) -> Any:
    """Highest of the values and the one before; numbers as numbers, texts as texts."""
    found = [one for one in (*values, before) if one is not None and one != ""]
    if not found:
        return before
    if all(isinstance(one, int | float) and not isinstance(one, bool) for one in found):
        return max(found)
    return max(map(str, found))


def _retry_after(answer: httpx.Response) -> float:
    given = answer.headers.get("retry-after", "")
    if given.isdigit():
        return float(given[:6])
    try:
        return max(0.0, (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _shown(url: str) -> str:
    """Address without its query, which may hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
