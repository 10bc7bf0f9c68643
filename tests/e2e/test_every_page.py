"""Every page in every state and size: axe finds nothing serious, nothing is out of reach, no complaint.

The pages of the standards and of the documentation are the server's own, without the front end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import sqlalchemy as sa
from e2e_border import enter
from e2e_page import Watched, watched
from e2e_reach import SIZES, picture, rest, small, tab_through, unreachable
from playwright.sync_api import Browser, Route

from app.database import make_engine, transaction
from app.security.identity import Role
from app.services import accounts
from app.settings import Settings

#: Page and the role of who uses it; None: whoever is not logged in.
PAGES: list[tuple[str, Role | None]] = [
    ("/", Role.dispatcher),
    ("/analyst", Role.analyst),
    ("/border", Role.border_officer),
    ("/report", Role.viewer),
    ("/tasks", Role.dispatcher),
    ("/addresses", Role.analyst),
    ("/feeds", Role.analyst),
    ("/admin", Role.admin),
    ("/login", None),
]
EVERY = [pytest.param(page, role, id=page.strip("/") or "command") for page, role in PAGES]
#: What the browser itself writes down of answers that were refused, and of those a test takes away.
BY_THE_BROWSER = re.compile(r"status of [45]\d\d|net::ERR_FAILED|Failed to load resource")

Opener = Callable[..., Watched]


@pytest.fixture(scope="module")
def sessions(
    browser: Browser, small_map: Settings, site: str
) -> Iterator[Callable[[Role | None], Any]]:
    """The cookies of a session of each role."""
    assert small_map.database.url
    engine = make_engine(small_map.database.url)
    known: dict[Role | None, Any] = {None: None}
    with transaction(engine) as connection:
        connection.execute(sa.text("delete from account"))

    def of(role: Role | None) -> Any:
        if role not in known:
            assert role is not None
            with transaction(engine) as connection:
                prefixes = ["3301"] if role is Role.border_officer else None
                made = accounts.create(
                    connection, f"every-{role}", role, title=str(role), prefixes=prefixes
                )
                link = accounts.new_link(connection, made.id, 1).secret
            with watched(browser, site, 400, 400) as one:
                enter(one.page.request, site, link)
                known[role] = one.page.context.storage_state()
        return known[role]

    yield of
    engine.dispose()


@pytest.fixture
def visit_as(
    browser: Browser, site: str, sessions: Callable[[Role | None], Any]
) -> Iterator[Opener]:
    """Open pages as a role; they ask nobody else and complain of nothing but refusals."""
    pages: list[Watched] = []
    with ExitStack() as stack:

        def opener(role: Role | None, width: int = 1440, height: int = 900, **more: Any) -> Watched:
            if state := sessions(role):
                more["storage_state"] = state
            one = stack.enter_context(
                watched(browser, site, width, height, reduced_motion="reduce", **more)
            )
            pages.append(one)
            return one

        yield opener
        for one in pages:
            assert one.hosts() <= {site.removeprefix("http://")}
            assert [text for text in one.complaints if not BY_THE_BROWSER.search(text)] == []


@pytest.mark.parametrize(("page", "role"), EVERY)
def test_every_page_is_within_reach_at_every_size(
    visit_as: Opener, page: str, role: Role | None
) -> None:
    one = visit_as(role)
    one.page.goto(one.base + page)
    rest(one.page)
    assert one.violations() == []
    assert [text for text in one.complaints if "status of 401" not in text] == []
    wrong: dict[str, list[str]] = {}
    for size in SIZES:
        one.page.set_viewport_size({"width": size.width, "height": size.height})
        rest(one.page)
        picture(one, f"{page.strip('/') or 'command'}-{size.width}")
        found = unreachable(one) + (small(one) if size.phone else [])
        if found:
            wrong[f"{size.width} × {size.height}"] = found
    assert wrong == {}


@pytest.mark.parametrize(("page", "role"), EVERY)
def test_every_page_is_readable_on_a_phone_in_english_and_the_other_colours(
    visit_as: Opener, page: str, role: Role | None
) -> None:
    one = visit_as(role, 360, 740, has_touch=True, is_mobile=True)
    one.page.goto(f"{one.base}{page}#lang=en&palette=stepped&pattern=1&theme=night")
    rest(one.page)
    picture(one, f"{page.strip('/') or 'command'}-360-night-en")
    assert one.violations() == []
    assert unreachable(one) == []


@pytest.mark.parametrize(("page", "role"), EVERY)
def test_every_page_says_what_is_wrong_when_nothing_is_answered(
    visit_as: Opener, page: str, role: Role | None
) -> None:
    one = visit_as(role)
    kept = re.compile(r"/api/(manifest|session|live|login|ways)")

    def refuse(route: Route) -> None:
        if kept.search(route.request.url):
            route.fallback()
        else:
            route.abort()

    one.page.route("**/api/**", refuse)
    one.page.goto(one.base + page)
    rest(one.page)
    picture(one, f"{page.strip('/') or 'command'}-error")
    assert one.page.locator("body").inner_text().strip() != ""
    assert one.violations() == []
    # and when not even the maps are known
    one.page.unroute("**/api/**")
    one.page.route("**/api/manifest", lambda route: route.abort())
    one.page.reload()
    rest(one.page)
    assert one.violations() == []
    assert unreachable(one) == []


@pytest.mark.parametrize(("page", "role"), EVERY)
def test_the_tab_key_goes_through_every_page_and_is_seen(
    visit_as: Opener, page: str, role: Role | None
) -> None:
    one = visit_as(role)
    one.page.goto(one.base + page)
    rest(one.page)
    stops = tab_through(one.page)
    assert len(stops) >= 3
    assert [stop["text"] for stop in stops if not stop["seen"]] == [], "focus is not seen"
    assert [stop["text"] for stop in stops if not stop["inside"]] == [], "focus is out of sight"
