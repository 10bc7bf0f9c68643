"""Host names, origins and addresses to go on to: which are ours.

A page of another site must not speak for the user: neither through a name that was rebound to this
machine (`Host`), nor by a form or script of its own (`Origin`, `Sec-Fetch-Site`), nor by sending
people away after they logged in (`next`).
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_AUTHORITY = re.compile(
    r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:(?P<port>\d{1,5}))?"
)
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")
LONGEST_NEXT = 2000


def name_of(host: str) -> str | None:
    """Name in a `Host` header, lower case, without port and brackets; None when malformed."""
    found = _AUTHORITY.fullmatch(host)
    return found["name"].lower().strip("[]").rstrip(".") if found else None


def is_loopback(name: str) -> bool:
    """Whether a host name or address is this machine's own loopback, without asking any resolver."""
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def origin_of(url: str) -> str | None:
    """Scheme, host and port of an address as browsers send them; None when it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{name}" + (f":{port}" if port not in {None, usual} else "")


def same_site(origin: str | None, fetch_site: str | None, own: str | None, host: str) -> bool:
    """Whether an unsafe request comes from a page of ours or from no page at all.

    Parameters
    ----------
    origin, fetch_site : the headers `Origin` and `Sec-Fetch-Site`, None when absent (programs)
    own : our public origin, when it is configured
    host : the `Host` header, already known to be one of ours
    """
    if fetch_site is not None and fetch_site not in {"same-origin", "none"}:
        return False
    if origin is None:
        return True
    given = origin_of(origin)
    if given is None or given != origin.lower():  # "null", a path, a user name …
        return False
    # behind a proxy we do not see the scheme; host and port say enough
    return given == own or given in {origin_of(f"http://{host}"), origin_of(f"https://{host}")}


def safe_next(wanted: str | None) -> str:
    """Address inside this site to go on to after logging in; `/` for everything else."""
    if (
        not wanted
        or len(wanted) > LONGEST_NEXT
        or not wanted.startswith("/")
        or wanted.startswith("//")
        or _CONTROL.search(wanted)
        or wanted.partition("?")[0].partition("#")[0] == "/login"
    ):
        return "/"
    parts = urlsplit(wanted)
    return "/" if parts.scheme or parts.netloc else wanted
