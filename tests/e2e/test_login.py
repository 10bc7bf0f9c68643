"""The login page in the browser: password, link, codes, provider's error, and the way out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pyotp
import pytest
import sqlalchemy as sa
from e2e_desk import Desk
from e2e_page import Watched, watched
from playwright.sync_api import Browser, expect

from app.database import make_engine, transaction
from app.security.identity import Role
from app.services import accounts
from app.settings import Settings

NAME = "hz-desk"
PASSWORD = "correct horse battery"
OTHER = "seven quiet lanterns"


@pytest.fixture
def link(small_map: Settings) -> Iterator[str]:
    """A one-time link of a fresh account."""
    assert small_map.database.url
    engine = make_engine(small_map.database.url)
    with transaction(engine) as connection:
        connection.execute(sa.text("delete from account"))
        made = accounts.create(connection, NAME, Role.viewer, title="杭州指挥台")
        yield_ = accounts.new_link(connection, made.id, 1)
    yield yield_.secret
    engine.dispose()


@pytest.fixture
def visitor(browser: Browser, site: str) -> Iterator[Callable[..., Watched]]:
    """Open pages; they ask nobody else and complain about refusals alone."""
    pages: list[Watched] = []
    with ExitStack() as stack:

        def opener(width: int = 1440, height: int = 900, **more: object) -> Watched:
            one = stack.enter_context(watched(browser, site, width, height, **more))
            pages.append(one)
            return one

        yield opener
        for one in pages:
            assert one.hosts() <= {site.removeprefix("http://")}
            # the browser itself writes down every answer with a status of refusal
            kept = [text for text in one.complaints if not re.search(r"status of 4\d\d", text)]
            assert kept == [], [(one.page.url, one.complaints)]


def test_from_the_link_to_the_map_and_out(visitor: Callable[..., Watched], link: str) -> None:
    one = visitor(locale="zh-CN")
    page = one.page
    page.goto(f"{one.base}/login#link={link}")
    expect(page.get_by_role("heading", name="设定密码")).to_be_visible()
    assert link not in page.url  # neither in the address bar nor in the history
    assert one.violations() == []
    page.get_by_label("新密码", exact=True).fill(PASSWORD)
    page.get_by_label("再输一次").fill(OTHER)
    page.get_by_role("button", name="设定密码并登录").click()
    expect(page.get_by_role("alert")).to_have_text("两次输入的密码不同。")
    page.get_by_label("再输一次").fill(PASSWORD)
    page.get_by_role("button", name="设定密码并登录").click()
    expect(page.get_by_role("link", name="杭州指挥台")).to_be_visible()
    Desk(one).settle()
    page.get_by_role("button", name="退出").click()
    expect(page.get_by_role("heading", name="登录")).to_be_visible()
    # no secret was in any address that was asked for
    assert all(link not in request.url for request in one.requests)
    assert all(PASSWORD not in request.url for request in one.requests)


def test_where_one_was_is_kept_and_other_sites_are_not_gone_to(
    visitor: Callable[..., Watched], link: str
) -> None:
    first = visitor()
    first.page.goto(f"{first.base}/login#link={link}")
    for label in ("New password", "Once more"):
        first.page.get_by_label(label, exact=True).fill(PASSWORD)
    first.page.get_by_role("button", name="Set password and log in").click()
    Desk(first).settle()

    def enter(one: Watched) -> None:
        one.page.get_by_label("Account").fill(NAME)
        one.page.get_by_label("Password", exact=True).fill(PASSWORD)
        one.page.keyboard.press("Enter")

    second = visitor(reduced_motion="reduce")
    second.page.goto(f"{second.base}/?view=1#lang=en&kind=theft")
    expect(second.page.get_by_role("heading", name="Log in")).to_be_visible()
    assert second.violations() == []
    second.page.get_by_label("Account").fill(NAME)
    second.page.get_by_label("Password", exact=True).fill(OTHER)
    second.page.keyboard.press("Enter")
    expect(second.page.get_by_role("alert")).to_contain_text("is wrong")
    enter(second)
    second.page.wait_for_url(re.compile(r"/\?view=1#.*kind=theft"))
    Desk(second).settle()
    # a session that ends while one looks leads back to the form
    second.page.context.clear_cookies()
    second.page.get_by_role("button", name="Log out").click()
    expect(second.page.get_by_role("heading", name="Log in")).to_be_visible()

    third = visitor()
    third.page.goto(f"{third.base}/login?next=https%3A%2F%2Fevil.example%2F")
    enter(third)
    third.page.wait_for_url(lambda url: url.split("#")[0] == f"{third.base}/")
    Desk(third).settle()
    fourth = visitor()
    fourth.page.goto(f"{fourth.base}/login?error=oidc_refused")
    expect(fourth.page.get_by_role("alert")).to_contain_text("The provider let nobody in")


def test_one_time_codes_on_a_phone(visitor: Callable[..., Watched], link: str) -> None:
    one = visitor(390, 844, has_touch=True, is_mobile=True)
    page = one.page
    page.goto(f"{one.base}/login#link={link}")
    for label in ("New password", "Once more"):
        page.get_by_label(label, exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Set password and log in").tap()
    Desk(one).settle()
    page.goto(f"{one.base}/login#me")
    page.get_by_text("One-time codes").tap()
    codes = page.locator("details", has_text="One-time codes")
    codes.get_by_label("Present password").fill(PASSWORD)
    codes.get_by_role("button", name="Switch on").tap()
    expect(page.get_by_alt_text("QR code for an authenticator")).to_be_visible()
    page.wait_for_function("() => document.querySelector('.qr').naturalWidth > 0")
    assert one.violations() == []
    secret = page.locator(".secret").inner_text()
    codes.get_by_label("One-time code").fill(pyotp.TOTP(secret).now())
    codes.get_by_role("button", name="Confirm").tap()
    expect(page.locator(".recovery li")).to_have_count(10)
    recovery = page.locator(".recovery li").first.inner_text()
    over = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert over <= 0
    page.get_by_role("button", name="Log out").tap()
    page.get_by_label("Account").fill(NAME)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").tap()
    expect(page.get_by_role("alert")).to_contain_text("Enter the code")
    page.get_by_label("One-time code").fill(recovery)
    page.get_by_role("button", name="Log in").tap()
    Desk(one).settle()
    assert "/login" not in page.url
