"""The report page: 33 indicators by day, month, year and level; league in groups; live feed; the brief."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import httpx
import pytest
from e2e_map import PACK
from e2e_page import Watched
from playwright.sync_api import Page, Route, expect
from pypdf import PdfReader

from app.database import make_engine
from app.services import indicator_sample
from app.settings import Settings

Opener = Callable[..., Watched]
SCENE = "safety-report"
TOWN = "330110010"
COUNTY = "330110"
VALUES, LEAGUE = f"/api/indicators/{SCENE}/values", f"/api/indicators/{SCENE}/league"


def test_a_map_without_a_report_says_so(visit: Opener) -> None:
    # first in this file: the feed is loaded for the others
    one = visit()
    one.page.goto(f"{one.base}/report")
    expect(one.page.get_by_role("heading", name="这张地图还没有平安报表")).to_be_visible()
    assert one.violations() == []


@pytest.fixture(scope="module")
def reported(small_map: Settings, server: str) -> str:
    """Address of the application whose map has a report."""
    assert small_map.database.url
    engine = make_engine(small_map.database.url)
    indicator_sample.load(engine, SCENE, zone="Asia/Shanghai", today=date(2026, 1, 2))
    engine.dispose()
    return server


@pytest.fixture
def api(reported: str) -> Iterator[Callable[..., Any]]:
    """Ask the same server as the page does."""
    with httpx.Client(base_url=reported, timeout=60) as client:

        def ask(address: str, **params: Any) -> Any:
            answer = client.get(address, params={"pack": PACK, **params})
            assert answer.status_code == 200, answer.text
            return answer.json()

        yield ask


@pytest.fixture
def sheet(visit: Opener, reported: str) -> Callable[..., Watched]:
    """Open the page with a hash in a layout; its numbers are there."""

    def open_(hash_: str = "", *size: int, **options: Any) -> Watched:
        one = visit(*size, **options)
        one.page.goto(f"{reported}/report{hash_}")
        if "pane=" not in hash_ or size[:1] != (390,):
            settled(one.page)
        return one

    return open_


def settled(page: Page) -> None:
    """Wait until card and league answer the present question."""
    expect(page.locator("[data-testid=card]:not(.old)")).to_be_attached()
    expect(page.locator("[data-testid=league]:not(.old)")).to_be_attached()


def shown(page: Page) -> dict[str, str]:
    """Values on the page by indicator, without their groups of three."""
    settled(page)
    return {
        row.get_attribute("data-indicator") or "": (
            row.locator("[data-testid=value]").inner_text().replace(",", "")
            if row.locator("[data-testid=value]").count()
            else "—"
        )
        for row in page.locator("tr[data-indicator]").all()
    }


def printed(answer: Any, code: str) -> dict[str, str]:
    """The same from an answer."""
    return {one["indicator"]: one["printed"] for one in answer["rows"] if one["code"] == code}


def same(page: Page, answer: Any, code: str) -> None:
    """Hold the card to an answer."""
    found, wanted = shown(page), printed(answer, code)
    assert len(found) == 33
    assert found == {name: wanted[name] for name in found}
    assert page.get_by_test_id("total").inner_text() == wanted["total"]


def test_the_numbers_are_those_of_the_api(sheet: Opener, api: Callable[..., Any]) -> None:
    page = sheet().page
    answer = api(VALUES, level="city", period="month")
    same(page, answer, "3301")
    rows = {one["indicator"]: one for one in answer["rows"]}
    assert len(page.locator("tr.field").all()) == 7
    for row in page.locator("tr[data-indicator]").all():
        one = rows[row.get_attribute("data-indicator") or ""]
        for place, name in ((".previous", "previous"), (".last-year", "last_year")):
            change, cell = one["change"][name], row.locator(place)
            text = cell.inner_text()
            if change is not None and change["ratio"] is not None and change["low"] is not None:
                assert text.lstrip("▲▼\n ").startswith(f"{change['ratio']:.2f}（")
                assert ("▲" in text) == (change["low"] > 1)
                assert ("▼" in text) == (change["high"] is not None and change["high"] < 1)
        chip = row.locator(".chip")
        assert chip.count() == (one["class"] is not None)
    # fewer than five events: no ratio, the words
    few = [
        one
        for one in rows.values()
        if one["indicator"].endswith("deaths")
        and one["value"] is not None
        and (change := one["change"]["previous"])
        and change["value"] is not None
        and change["ratio"] is None
    ]
    assert few
    for one in few:
        cell = page.locator(f"tr[data-indicator={one['indicator']}] .previous")
        expect(cell).to_have_text(re.compile("件数少|此前为 0"))


def test_day_month_year_and_level_in_the_link(sheet: Opener, api: Callable[..., Any]) -> None:
    one = sheet()
    page = one.page
    for by in ("day", "year", "month"):
        page.locator(f"button[data-by={by}]").click()
        same(page, api(VALUES, level="city", period=by), "3301")
    # a month back, by button and by key
    newest = api(VALUES, level="city", period="month")["ord"]
    page.get_by_role("button", name="前一期").click()
    page.keyboard.press("[")
    expect(page.get_by_test_id("period")).to_have_text("2025年10月")
    same(page, api(VALUES, level="city", period="month", ord=newest - 2), "3301")
    # a county of the league, then a town of that county
    page.locator(f".league-row[data-code='{COUNTY}']").click()
    expect(page.locator("h1")).to_have_text("余杭区")
    same(page, api(VALUES, level="county", period="month", ord=newest - 2, within=COUNTY), COUNTY)
    page.locator(f".league-row[data-code='{TOWN}']").click()
    expect(page.locator("h1")).to_have_text("良渚街道")
    same(page, api(VALUES, level="town", period="month", ord=newest - 2, within=TOWN), TOWN)
    # the link alone brings it back
    link = page.url
    other = sheet(link[link.index("#") :])
    expect(other.page.locator("h1")).to_have_text("良渚街道")
    assert shown(other.page) == shown(page)
    # the level above: its units are ranked, and the page is about their parent
    page.locator("[data-level=county]").click()
    expect(page.locator("h1")).to_have_text("杭州市")
    expect(page.locator(f".league-row[data-code='{COUNTY}']")).to_be_visible()
    page.go_back()
    expect(page.locator("h1")).to_have_text("良渚街道")


#: Rows of the league whose colour does not stand beside the name.
WRAPPED = """() => [...document.querySelectorAll('.league-row')].filter(row => {
  const [name, chip] = ['.name', '.chip'].map(one => row.querySelector(one)?.getBoundingClientRect());
  return chip && Math.abs(name.top + name.bottom - chip.top - chip.bottom) > 16;
}).length"""


def test_the_league_is_cut_where_ranks_can_be_told_apart(
    sheet: Opener, api: Callable[..., Any]
) -> None:
    page = sheet("#level=town&ind=civil_rate").page
    answer = api(LEAGUE, level="town", period="month", indicator="civil_rate")
    expect(page.locator(".league-row")).to_have_count(len(answer["rows"]))
    rows = page.locator(".league-row")
    for at, one in enumerate(answer["rows"]):
        text = rows.nth(at).inner_text()
        assert one["name"] in text
        assert f"{one['rank_low']}–{one['rank_high']}" in text
        assert one["printed"] in text.replace(",", "")
    groups: list[list[str]] = []
    for before, one in zip([None, *answer["rows"]], answer["rows"], strict=False):
        if before is None or before["group"] != one["group"]:
            groups.append([])
        groups[-1].append(one["code"])
    drawn = [
        [row.get_attribute("data-code") for row in group.locator(".league-row").all()]
        for group in page.locator(".league-group").all()
    ]
    assert drawn == groups
    assert page.locator(".league-row .chip").count() > 0
    assert page.evaluate(WRAPPED) == 0
    wide = [one for one in groups if len(one) > 1]
    assert wide
    expect(page.locator(".alike").first).to_have_text(f"{len(wide[0])} 个，名次不可区分")
    # another indicator is ranked by its name in the card
    page.locator("tr[data-indicator=clearance] th button").click()
    expect(page.locator(".league h2")).to_have_text("破案率排名")
    settled(page)
    best = api(LEAGUE, level="town", period="month", indicator="clearance")["rows"][0]
    expect(rows.first).to_contain_text(best["name"])


def test_incidents_come_by_themselves(
    sheet: Opener, api: Callable[..., Any], reported: str
) -> None:
    page = sheet().page
    alerts = api("/api/alerts", state="open", limit=30)["alerts"]
    assert alerts
    expect(page.get_by_test_id("feed").locator("li")).to_have_count(min(20, len(alerts)))
    newest = max(alerts, key=lambda one: (one["opened_at"], -one["id"]))
    item = page.locator(f"[data-alert='{newest['id']}']")
    expect(item).to_contain_text(newest["reason"]["zh"])
    # closed at a desk: it goes without a reload
    done = httpx.post(f"{reported}/api/alerts/{newest['id']}/close", json={"reason": "核对完毕"})
    assert done.status_code == 200, done.text
    expect(item).to_have_count(0)


def test_on_a_phone_one_pane_at_a_time(sheet: Opener) -> None:
    one = sheet("", 390, 844, has_touch=True, is_mobile=True)
    page = one.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.locator(".card-pane")).to_be_visible()
    expect(page.locator(".league")).to_be_hidden()
    small = page.evaluate(
        "[...document.querySelectorAll('button, a')].filter(b => b.offsetParent !== null)"
        ".map(b => b.getBoundingClientRect()).filter(r => r.height > 0 && r.height < 43 && r.bottom > 0"
        " && r.top < innerHeight).length"
    )
    assert small == 0
    assert one.violations() == []
    page.locator("[data-to=league]").tap()
    expect(page.locator(".league-row").first).to_be_visible()
    expect(page.locator(".card-pane")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(WRAPPED) == 0
    page.locator(".league-row").first.tap()
    expect(page.locator(".card-pane")).to_be_visible()
    page.locator("[data-to=feed]").tap()
    expect(page.get_by_role("heading", name="重大事件动态")).to_be_visible()
    assert one.violations() == []


def test_english_numbers_cover_no_names_and_places_are_named(sheet: Opener) -> None:
    one = sheet("#lang=en", 390, 844, has_touch=True, is_mobile=True)
    covered = one.page.evaluate(
        """() => [...document.querySelectorAll('.indicators tr[data-indicator]')].filter(row => {
          const box = one => { const range = document.createRange(); range.selectNodeContents(one);
            return range.getBoundingClientRect(); };
          const name = box(row.querySelector('th button'));
          const value = box(row.querySelector('td.value'));
          return name.width && value.width && name.right > value.left;
        }).length"""
    )
    assert covered == 0

    def name(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        for alert in body["alerts"]:
            alert["name_en"] = "Riverside Town"
        route.fulfill(response=answer, json=body)

    one.page.route("**/api/alerts?*", name)
    one.page.reload()
    settled(one.page)
    one.page.locator("[data-to=feed]").tap()
    item = one.page.locator("[data-alert]").first
    expect(item).to_contain_text("Riverside Town")
    assert not re.search(r"[\u4e00-\u9fff]", item.inner_text())


def test_readers_and_keys_find_their_way(sheet: Opener) -> None:
    one = sheet("#level=town")
    assert one.violations() == []
    one.page.keyboard.press("y")
    expect(one.page.locator("button[data-by=year]")).to_have_attribute("aria-pressed", "true")
    english = sheet("#lang=en&by=day&theme=night")
    expect(english.page.locator("h1")).to_have_text("Hangzhou")
    expect(english.page.locator("button[data-by=day]")).to_have_text("Day")
    assert not re.search(r"[\u4e00-\u9fff]", english.page.locator(".indicators").inner_text())
    assert english.violations() == []


def test_what_fails_is_said_and_mended(sheet: Opener) -> None:
    one = sheet()
    page = one.page
    page.route("**/values?*", lambda route: route.abort())
    page.locator("button[data-by=day]").click()
    expect(page.get_by_role("heading", name="指标没有取到")).to_be_visible()
    expect(page.get_by_test_id("league")).to_be_visible()  # the others go on
    page.unroute("**/values?*")
    # it also asks by itself: the button may be gone
    page.evaluate("document.querySelector('[role=alert] button')?.click()")
    settled(page)
    one.complaints.clear()  # the browser writes down every abort
    page.goto(f"{one.base}/report#scope=339999")
    expect(page.get_by_role("heading", name="没有这个单位的报表")).to_be_visible()
    page.get_by_role("button", name="看全部").click()
    settled(page)
    one.complaints.clear()


def test_the_brief_of_the_month_as_pdf(sheet: Opener, api: Callable[..., Any]) -> None:
    page = sheet().page
    with page.expect_download() as waiting:
        page.get_by_test_id("brief").click()
    body = waiting.value.path().read_bytes()
    read = PdfReader(io.BytesIO(body))
    text = "".join(part.extract_text() for part in read.pages)
    assert "杭州市公共安全风险月报" in text
    assert "2025 年 12 月" in re.sub(r"\s*(\d+)\s*", r" \1 ", text)
    expect(page.get_by_test_id("brief")).to_be_enabled()
    # what the scene of indicators says in it, too, stands where it says
    with httpx.Client(base_url=page.url.split("/report")[0], timeout=60) as client:
        brief = client.get(f"/api/packs/{PACK}/brief", params={"month": "2025-12"}).json()["brief"]
        told = next(one for one in brief["sections"] if one["id"] == f"scene-{SCENE}")
        assert told["title"]["zh"] in text
        known: dict[str, Any] = {}
        for fact in [fact for one in told["sentences"] for fact in one["facts"]]:
            base, _, pointer = fact["address"].partition("#")
            known[base] = found = known.get(base) or client.get(base).json()
            for step in pointer.split("/")[1:]:
                found = found[int(step)] if isinstance(found, list) else found[step]
            assert found == fact["value"]
        index = api(VALUES, level="city", period="month")["rows"]
        total = next(one for one in index if one["indicator"] == "total")
        assert total["printed"] in told["sentences"][0]["text"]["zh"]
