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
from playwright.sync_api import Browser, Route, expect

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
#: Pages that take their language from the browser, and those with tabs of their own on a phone.
OWN_LANGUAGE = ("/admin", "/login")
OWN_TABS = ("/border", "/tasks")
#: Pages without the front end, made by the server; the documentation has tests of its own.
STANDARDS = (
    "/ogc", "/ogc/collections", "/ogc/conformance", "/ogc/tileMatrixSets", "/ogc/api",
    "/ogc/collections/{}", "/ogc/collections/{}/items?limit=5",
)  # fmt: skip
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


def _reached_by_tab(one: Watched, least: int = 3) -> None:
    """Every stop of the Tab key is seen and in sight."""
    stops = tab_through(one.page)
    assert len(stops) >= least
    assert [stop["text"] for stop in stops if not stop["seen"]] == [], "focus is not seen"
    assert [stop["text"] for stop in stops if not stop["inside"]] == [], "focus is out of sight"


def _pages_by_sheet(one: Watched) -> None:
    """The bar of a phone opens the other pages; Escape closes them and gives the focus back."""
    button = one.page.locator(".pages-open:visible")
    button.press("Enter")
    sheet = one.page.get_by_role("dialog")
    expect(sheet.locator(".pages-list a[href^='/tasks']")).to_be_visible()
    expect(sheet.get_by_role("button", name="Log out")).to_be_visible()
    assert sheet.locator("[aria-current=page]").count() == 1
    picture(one, "pages-360")
    assert one.violations() == []
    assert unreachable(one) + small(one) == []
    one.page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    expect(button).to_be_focused()


# One opening each: a page is resized and changes its language and colours without being loaded anew.
@pytest.mark.parametrize(("page", "role"), EVERY)
def test_every_page_at_every_size_by_keyboard_and_in_the_other_colours(
    visit_as: Opener, page: str, role: Role | None
) -> None:
    name = page.strip("/") or "command"
    one = visit_as(role)
    one.page.goto(one.base + page)
    rest(one.page)
    assert one.violations() == []
    _reached_by_tab(one)
    wrong: dict[str, list[str]] = {}
    for size in SIZES:
        one.page.set_viewport_size({"width": size.width, "height": size.height})
        rest(one.page)
        picture(one, f"{name}-{size.width}")
        found = unreachable(one) + (small(one) if size.phone else [])
        if found:
            wrong[f"{size.width} × {size.height}"] = found
    assert wrong == {}
    # the last size was a phone: English, at night, in the stepped colours with patterns
    one.page.goto(f"{one.base}{page}#lang=en&palette=stepped&pattern=1&theme=night")
    if page not in OWN_LANGUAGE:
        expect(one.page.locator("html[lang=en]")).to_be_attached()
    rest(one.page)
    picture(one, f"{name}-360-night-en")
    assert one.violations() == []
    assert unreachable(one) == []
    if one.page.locator(".pages-open:visible").count():
        _pages_by_sheet(one)
    else:
        assert page in OWN_LANGUAGE + OWN_TABS
    assert [text for text in one.complaints if "status of 401" not in text] == []


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


def test_the_pages_of_the_standards_are_within_reach_at_every_size(visit_as: Opener) -> None:
    one = visit_as(Role.analyst)
    answer = one.page.request.get(f"{one.base}/ogc/collections?f=json").json()
    collection = answer["collections"][0]["id"]
    wrong: dict[str, list[str]] = {}
    for address in STANDARDS:
        path = address.format(collection)
        one.page.set_viewport_size({"width": 1440, "height": 900})
        one.page.goto(one.base + path)
        rest(one.page)
        assert one.violations() == [], path
        assert "<built-in" not in one.page.locator("body").inner_text(), path
        for size in (SIZES[0], SIZES[-1]):  # one column whatever the size
            one.page.set_viewport_size({"width": size.width, "height": size.height})
            rest(one.page)
            picture(one, f"{address.strip('/').replace('/', '-').partition('?')[0]}-{size.width}")
            if found := unreachable(one):
                wrong[f"{path} {size.width}"] = found
    _reached_by_tab(one)
    assert wrong == {}
    assert one.complaints == []
