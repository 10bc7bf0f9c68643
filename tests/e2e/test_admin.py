"""The admin page in the browser: accounts, one-time links, tokens, and the auditor's audit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
import sqlalchemy as sa
from e2e_page import Watched, watched
from playwright.sync_api import Browser, Locator, Page, expect

from app.database import make_engine, transaction
from app.security.identity import Role
from app.services import accounts
from app.settings import Settings

PASSWORD = "correct horse battery"


@pytest.fixture
def links(small_map: Settings) -> Iterator[dict[str, str]]:
    """One-time links of an admin, an auditor and a viewer, the only accounts there are."""
    assert small_map.database.url
    engine = make_engine(small_map.database.url)
    found = {}
    with transaction(engine) as connection:
        connection.execute(sa.text("delete from account"))
        for name, role in (
            ("chief", Role.admin), ("hz-audit", Role.auditor), ("hz-view", Role.viewer),
        ):  # fmt: skip
            made = accounts.create(connection, name, role, prefixes=None)
            found[name] = accounts.new_link(connection, made.id, 1).secret
    yield found
    engine.dispose()


@pytest.fixture
def enter(browser: Browser, site: str, links: dict[str, str]) -> Iterator[Callable[..., Watched]]:
    """Open the page as one of the accounts; no page asks anybody else."""
    pages: list[Watched] = []
    with ExitStack() as stack:

        def opener(name: str, width: int = 1440, height: int = 900) -> Watched:
            one = stack.enter_context(watched(browser, site, width, height))
            pages.append(one)
            page = one.page
            page.goto(f"{site}/login?next=%2Fadmin#link={links[name]}")
            for label in ("New password", "Once more"):
                page.get_by_label(label, exact=True).fill(PASSWORD)
            page.get_by_role("button", name="Set password and log in").click()
            page.wait_for_url(re.compile(r"/admin$"))
            return one

        yield opener
        for one in pages:
            assert one.hosts() <= {site.removeprefix("http://")}
            kept = [text for text in one.complaints if not re.search(r"status of 4\d\d", text)]
            assert kept == [], [(one.page.url, one.complaints)]


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem", name=name, exact=True)


def test_an_account_from_its_making_to_its_end(enter: Callable[..., Watched], site: str) -> None:
    one = enter("chief")
    page = one.page
    expect(page.get_by_role("heading", name="Accounts")).to_be_visible()
    expect(row(page, "hz-view")).to_contain_text("Viewer · everything")
    assert one.violations() == []
    page.get_by_text("New account").click()
    form = page.locator("details", has_text="New account").locator("form")
    form.get_by_label("Login name").fill("hz 13800138000")
    form.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert").first).to_contain_text("filled in wrongly")
    form.get_by_label("Login name").fill("hz-desk")
    form.get_by_label("Description").fill("Hangzhou desk")
    form.get_by_label("Role").select_option("dispatcher")
    form.get_by_label("Sees").fill("3301 330206")
    form.get_by_role("button", name="Create").click()
    shown = page.get_by_role("status")
    expect(shown).to_contain_text("One-time link for hz-desk")
    first = shown.locator("code").inner_text()
    assert first.startswith(f"{site}/login#link=")
    assert one.violations() == []
    shown.get_by_role("button", name="Close").click()
    expect(row(page, "hz-desk")).to_contain_text(
        "Desk · Dispatcher · 3301 330206 · no password yet"
    )
    # its password is reset: another link, the first is over
    row(page, "hz-desk").get_by_role("button", name="Reset the password").click()
    expect(shown).to_contain_text("hz-desk")
    second = shown.locator("code").inner_text()
    assert second != first
    tried = {
        link: httpx.post(
            f"{site}/api/session/link",
            json={"link": link.partition("#link=")[2], "password": "seven quiet lanterns"},
        ).status_code
        for link in (first, second)
    }
    assert tried[first] == 401
    assert tried[second] == 204
    # role and jurisdiction are changed, then it is disabled and enabled
    row(page, "hz-desk").get_by_text("Change").click()
    change = row(page, "hz-desk").locator("form").first
    change.get_by_label("Role").select_option("analyst")
    change.get_by_label("Sees").fill("330206")
    change.get_by_role("button", name="Save").click()
    expect(row(page, "hz-desk")).to_contain_text("Desk · Analyst · 330206")
    row(page, "hz-desk").get_by_role("button", name="Disable").click()
    expect(row(page, "hz-desk").get_by_role("button", name="Enable")).to_be_visible()
    row(page, "hz-desk").get_by_role("button", name="Enable").click()
    expect(row(page, "hz-desk").get_by_role("button", name="Disable")).to_be_visible()
    # the last admin stays
    row(page, "chief").get_by_role("button", name="Disable").click()
    expect(page.get_by_role("alert").first).to_contain_text("cannot be done")
    # an admin reads no audit
    expect(page.get_by_role("heading", name="Audit")).to_have_count(0)
    # no secret was in any address that was asked for
    assert all("link=" not in request.url for request in one.requests[1:])


def test_tokens_of_a_program_on_a_phone(enter: Callable[..., Watched], site: str) -> None:
    one = enter("chief", width=390, height=844)
    page = one.page
    page.get_by_text("New account").click()
    form = page.locator("details", has_text="New account").locator("form")
    form.get_by_label("Login name").fill("nightly")
    form.get_by_label("Kind").select_option("program")
    form.get_by_label("Sees").fill("all")
    form.get_by_role("button", name="Create").click()
    expect(row(page, "nightly")).to_contain_text("Program · Viewer · everything")
    page.get_by_role("status").get_by_role("button", name="Close").click()
    tokens = row(page, "nightly").locator("details", has_text="Tokens")
    tokens.locator("summary").click()
    expect(tokens).to_contain_text("There are no tokens")
    tokens.get_by_label("Description").fill("export")
    tokens.get_by_role("button", name="New token").click()
    secret = tokens.get_by_role("status").locator("code").inner_text()
    headers = {"Authorization": f"Bearer {secret}"}
    assert httpx.get(f"{site}/api/manifest", headers=headers).status_code == 200
    assert httpx.get(f"{site}/api/accounts", headers=headers).status_code == 403
    assert one.violations() == []
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    tokens.get_by_role("button", name="Revoke").click()
    expect(tokens).to_contain_text("There are no tokens")
    assert httpx.get(f"{site}/api/manifest", headers=headers).status_code == 401


def test_an_auditor_sees_the_audit_and_nothing_else(enter: Callable[..., Watched]) -> None:
    one = enter("hz-audit")
    page = one.page
    expect(page.get_by_role("heading", name="Audit")).to_be_visible()
    expect(page.get_by_role("heading", name="Accounts")).to_have_count(0)
    expect(page.get_by_text("wusetu audit verify --expect")).to_be_visible()
    table = page.get_by_role("table")
    expect(table.get_by_role("cell", name=re.compile("^account.login"))).not_to_have_count(0)
    page.get_by_label("What").select_option("export")  # other tests may have exported
    expect(table.get_by_role("cell", name=re.compile("^account.login"))).to_have_count(0)
    page.get_by_label("What").select_option("read_audit")
    expect(table.get_by_role("cell", name=re.compile("^read_audit"))).not_to_have_count(0)
    assert one.violations() == []


def test_others_are_told_that_it_is_not_theirs(enter: Callable[..., Watched]) -> None:
    one = enter("hz-view")
    expect(one.page.get_by_text("may neither manage accounts nor read the audit")).to_be_visible()
    one.page.get_by_role("button", name="中").click()
    expect(one.page.get_by_text("此账号不能管理账号")).to_be_visible()
    assert one.violations() == []


def test_on_a_single_machine_there_are_no_accounts(
    visit: Callable[..., Watched],
) -> None:
    one = visit()
    one.page.goto(f"{one.base}/admin")
    expect(one.page.get_by_text("A single machine has no accounts")).to_be_visible()
