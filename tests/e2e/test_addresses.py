"""The queue of addresses: two decisions, a name that is learnt and known at once, nothing left, refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pyarrow as pa
import pytest
import sqlalchemy as sa
from e2e_border import enter
from e2e_map import HOT, PACK
from e2e_page import Watched, watched
from playwright.sync_api import Browser, Locator, expect

from app.database import make_engine, transaction
from app.security.identity import Role
from app.services import accounts, address_base, address_resolve
from app.settings import Settings
from geo.addresses.base import SCHEMA

ESTATE, ROAD = "文澜花园", "良运街"
#: said by people, not in the base
SAID = "小文澜"
TEXTS = (f"余杭区{SAID}3幢", f"{ROAD}2号", "不知何处广场")

Opener = Callable[..., Watched]


@pytest.fixture
def queue(small_map: Settings) -> Iterator[sa.Engine]:
    """A small address base of real grids and three texts nobody could be certain of."""
    assert small_map.database.url
    engine = make_engine(small_map.database.url)
    with engine.connect() as connection:
        grids = (
            connection.execute(
                sa.text(
                    "select code from unit where level = 'grid' and code ^@ :hot order by code"
                ),
                {"hot": HOT},
            )
            .scalars()
            .all()
        )
        far = connection.execute(
            sa.text("select min(code) from unit where level = 'grid' and code ^@ '330108'")
        ).scalar_one()
    rows = [
        *((f"{grids[0]}{n:04d}", ESTATE, "estate", n, 2, 6, None) for n in range(1, 6)),
        *((f"{grids[5]}{n:04d}", ROAD, "street", n, 0, 0, None) for n in range(1, 5)),
        *((f"{far}{n:04d}", ROAD, "street", n, 0, 0, None) for n in range(1, 5)),
    ]
    table = pa.Table.from_pylist(
        [dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA
    )
    address_base.store(engine, PACK, table, "made", simulated=True)
    with transaction(engine) as connection:
        connection.execute(sa.text("delete from address_review"))
        connection.execute(sa.text("delete from address_alias"))
        ground = address_resolve.Addresses().ground(connection, PACK)
        asked = [(text, ground.resolve(text)) for text in TEXTS]
        # the first one came twice: it is the first of the queue
        address_resolve.queue(connection, PACK, asked)
        address_resolve.queue(connection, PACK, asked[:1])
    yield engine
    with transaction(engine) as connection:
        for table_ in ("address_review", "address_alias", "address_entry", "address_base"):
            connection.execute(sa.text(f"delete from {table_} where pack = :p"), {"p": PACK})
    engine.dispose()


@pytest.fixture
def analyst(browser: Browser, site: str, queue: sa.Engine) -> Iterator[Opener]:
    """Pages of an analyst's session at `/addresses`; they ask nobody else and do not complain."""
    with transaction(queue) as connection:
        connection.execute(sa.text("delete from account where name = 'e2e-addresses'"))
        made = accounts.create(connection, "e2e-addresses", Role.analyst, title="研判")
        link = accounts.new_link(connection, made.id, 1).secret
    with watched(browser, site, 1440, 900) as first:
        enter(first.page.request, site, link)
        state = first.page.context.storage_state()
    opened: list[Watched] = []
    with ExitStack() as stack:

        def opener(width: int = 1440, height: int = 900, **options: object) -> Watched:
            one = stack.enter_context(
                watched(browser, site, width, height, storage_state=state, **options)
            )
            one.page.goto(f"{site}/addresses")
            opened.append(one)
            return one

        yield opener
        for one in opened:
            assert one.hosts() <= {site.removeprefix("http://")}
            assert [text for text in one.complaints if "status of 4" not in text] == []


def rows(one: Watched) -> Locator:
    return one.page.locator(".address-row")


def test_two_decisions_by_keyboard_and_a_name_that_is_known_at_once(
    analyst: Opener, queue: sa.Engine
) -> None:
    one = analyst()
    page = one.page
    expect(rows(one)).to_have_count(3)
    expect(page.locator(".address-text")).to_have_text(TEXTS[0])
    expect(page.get_by_role("link", name="地址")).to_have_attribute("aria-current", "page")
    # nothing in the base sounds like it: the place is looked for by name
    page.keyboard.press("/")
    page.keyboard.type("良渚街道")
    expect(page.get_by_role("option").first).to_contain_text("良渚街道")
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", checked=True)).to_have_count(1)
    expect(page.locator(".choice-row:has(:checked)")).to_contain_text("良渚街道")
    page.locator(".address-learn input[type=checkbox]").focus()
    page.keyboard.press("Space")
    expect(page.get_by_label("叫法", exact=True)).to_have_value(SAID)
    page.get_by_label("就是地址库里的").fill(ESTATE)
    assert one.violations() == []
    page.keyboard.press("Enter")
    # the next text is open and has the focus
    expect(rows(one)).to_have_count(2)
    expect(page.locator(".address-text")).to_be_focused()
    expect(page.locator(".addresses > [role=status]")).to_contain_text(f"并记住“{SAID}”")
    # two roads of one name: none is chosen beforehand, both are on the map
    expect(page.locator(".address-text")).to_have_text(TEXTS[1])
    expect(page.locator(".choice-row").filter(has_text=ROAD)).to_have_count(2)
    expect(page.get_by_role("radio", checked=True)).to_have_count(0)
    expect(page.locator(".disc")).to_have_count(2)
    expect(page.get_by_role("button", name="定为此处")).to_be_disabled()
    page.keyboard.press("2")
    expect(page.get_by_role("radio", checked=True)).to_have_count(1)
    expect(page.get_by_role("button", name="定为 2")).to_be_enabled()
    page.keyboard.press("Enter")
    expect(rows(one)).to_have_count(1)
    # what is no address is put aside: the key goes to the button, the button asks for a second
    expect(page.locator(".address-text")).to_have_text(TEXTS[2])
    page.keyboard.press("Backspace")
    expect(page.get_by_role("button", name="不是地址，不用")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("没有等人来定的地址")).to_be_visible()
    assert one.violations() == []
    with queue.connect() as connection:
        said = connection.execute(
            sa.text("select text, state, settled_code from address_review order by id")
        ).all()
    assert [(row.text, row.state) for row in said] == [
        (TEXTS[0], "settled"), (TEXTS[1], "settled"), (TEXTS[2], "dismissed"),
    ]  # fmt: skip
    assert said[0].settled_code == HOT
    assert re.fullmatch(r"\d{19}", said[1].settled_code)
    # the learnt name is known at once, for other doors too
    token = next(
        each["value"]
        for each in page.context.cookies()
        if each.get("name", "").endswith("wusetu_csrf")
    )
    answer = page.request.post(
        f"{one.base}/api/addresses/resolve",
        data={"pack": PACK, "addresses": [f"余杭区{SAID}2幢"]},
        headers={"X-CSRF-Token": token, "Origin": one.base},
    )
    (found,) = answer.json()["answers"]
    assert found["code"].startswith(HOT)
    assert found["code"].endswith("0002")
    assert found["place"] == ESTATE
    # what was settled can be read again
    page.get_by_role("button", name="已定").click()
    expect(rows(one)).to_have_count(2)


def test_a_phone_goes_from_the_list_to_the_text_and_back(analyst: Opener) -> None:
    one = analyst(390, 844, has_touch=True, is_mobile=True, reduced_motion="reduce")
    page = one.page
    expect(rows(one)).to_have_count(3)
    expect(page.locator(".address-text")).to_have_count(0)
    rows(one).nth(1).tap()
    expect(page.locator(".address-text")).to_be_visible()
    expect(rows(one).first).to_be_hidden()
    expect(page.locator(".disc")).to_have_count(2)
    assert one.violations() == []
    page.get_by_role("button", name="回到列表").tap()
    expect(rows(one).first).to_be_visible()
    # a decision leads back to the list
    rows(one).nth(1).tap()
    page.locator(".choice-row").first.tap()
    page.get_by_role("button", name="定为 1").tap()
    expect(rows(one)).to_have_count(2)
    expect(rows(one).first).to_be_visible()


def test_somebody_else_was_faster(analyst: Opener, queue: sa.Engine) -> None:
    one = analyst()
    expect(rows(one)).to_have_count(3)
    with transaction(queue) as connection:
        connection.execute(
            sa.text(
                "update address_review set state = 'dismissed', settled_at = now() where text = :t"
            ),
            {"t": TEXTS[0]},
        )
    one.page.keyboard.press("Backspace")
    one.page.keyboard.press("Enter")
    expect(rows(one)).to_have_count(2)
    expect(one.page.locator(".address-text")).to_have_text(TEXTS[1])
