"""The border page: two desks at once, alarms on both sides, zones, places, and a phone without a signal."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import e2e_border as border
import pytest
import sqlalchemy as sa
from e2e_border import HERE, KAIHUA, MINE, OVER, PACK, THEIRS, XIUNING, ZONE, Side
from e2e_page import PATIENCE_MS, Watched, watched
from e2e_reach import picture, unreachable
from e2e_server import served
from playwright.sync_api import Browser, Page, expect

from app.settings import DatabaseSettings, Settings

PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}
#: Layers are there, all tiles are, and nothing moves.
STILL = """() => {
  const map = document.querySelector('.border-map-pane .map-box')?.map;
  return map && map.loaded() && !map.isMoving() && map.getLayer('line-ink') !== undefined;
}"""
#: Symbols of a kind the map draws now.
DRAWN = """([layer, key, value]) => {
  const map = document.querySelector('.border-map-pane .map-box')?.map;
  if (!map?.getLayer(layer)) return false;
  return map.queryRenderedFeatures({layers: [layer]}).some(one => one.properties[key] === value);
}"""


@dataclass
class Place:
    """The site with its four desks."""

    base: str
    states: dict[str, Any]
    sides: dict[str, Side]
    zone: int
    pooled: int


@pytest.fixture(scope="module")
def place(
    browser: Browser, cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """The alliance with accounts, furnished by the desks themselves over HTTP."""
    folder = tmp_path_factory.mktemp("border")
    with database(cluster, template) as url:
        engine = border.engine_of(url)
        border.load(engine, folder)
        pooled = border.pool(engine)
        secrets = border.officers(engine)
        engine.dispose()
        settings = Settings(data_dir=folder, access="accounts", database=DatabaseSettings(url=url))
        with served(settings) as base, ExitStack() as stack:
            sides, states = {}, {}
            for side, secret in secrets.items():
                context = stack.enter_context(browser.new_context())
                border.enter(context.request, base, secret)
                sides[side] = Side(context.request, base)
                states[side] = context.storage_state()
            zone = border.furnish(sides[MINE], sides[THEIRS])
            yield Place(base, states, sides, zone, pooled)


@contextmanager
def database(cluster: Any, template: str) -> Iterator[str]:
    """A database of this module alone."""
    name = f"border_{time.time_ns():x}"
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    yield cluster.url(name)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


Desk = Callable[..., Watched]


@pytest.fixture
def desk(browser: Browser, place: Place) -> Iterator[Desk]:
    """Open the page as a side's officer; pages ask nobody else and complain of refusals alone."""
    pages: list[Watched] = []
    with ExitStack() as stack:

        def opener(
            side: str, hash_: str = "", *, width: int = 1440, height: int = 900, **more: Any
        ) -> Watched:
            one = stack.enter_context(
                watched(
                    browser, place.base, width, height, reduced_motion="reduce",
                    storage_state=place.states[side], timezone_id="Asia/Shanghai", **more,
                )
            )  # fmt: skip
            pages.append(one)
            one.page.goto(f"{place.base}/border{hash_}")
            still(one.page)
            return one

        yield opener
        for one in pages:
            assert one.hosts() <= {place.base.removeprefix("http://")}
            kept = [text for text in one.complaints if not re.search(r"status of 4\d\d", text)]
            assert kept == [], [(one.page.url, one.complaints)]


def still(page: Page) -> None:
    page.wait_for_function(STILL, timeout=PATIENCE_MS)


def drawn(page: Page, layer: str, key: str, value: object) -> None:
    page.wait_for_function(DRAWN, arg=[layer, key, value], timeout=PATIENCE_MS)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def open_check(page: Page, reference: str) -> None:
    page.locator("[name=reference]").fill(reference)
    page.locator("[name=reason]").fill("木材盗运，疑沿县道入皖")
    press(page, "发送给两侧")


def test_two_desks_through_a_whole_check(place: Place, desk: Desk) -> None:
    mine = desk(MINE, f"#open=check-new.{place.zone}").page
    theirs = desk(THEIRS, **PHONE).page
    # a reference that is somebody's number is refused in words, and nothing is told
    open_check(mine, "330824199001010014")
    expect(mine.get_by_role("alert")).to_contain_text("不能填写")
    open_check(mine, "开公侦〔2026〕0417")
    expect(mine.get_by_test_id("check-state")).to_have_text("待接受")
    # the other side's desk has it without asking
    expect(theirs.locator(".incoming")).to_contain_text(ZONE)
    expect(theirs.locator(".tabbar .count")).to_have_text("1")
    press(theirs, "查看")
    expect(theirs.get_by_role("heading", name="开公侦〔2026〕0417")).to_be_visible()
    press(theirs, "接受")
    expect(theirs.get_by_test_id("check-state")).to_have_text("进行中")
    expect(mine.get_by_test_id("check-state")).to_have_text("进行中")
    expect(mine.locator(f"[data-side='{THEIRS}']")).to_contain_text("已接受")
    press(mine, "接受")
    expect(theirs.locator(f"[data-side='{MINE}']")).to_contain_text("已接受")
    # checkpoints report, with place and time
    mine.get_by_label("哪个卡点").select_option(label="齐溪卡点")
    press(mine, "未发现")
    expect(theirs.get_by_test_id("steps")).to_contain_text("齐溪卡点：未发现")
    theirs.get_by_label("哪个卡点").select_option(label="龙田卡点")
    theirs.get_by_label("地点", exact=True).fill("县道 216 K3")
    press(theirs, "有发现")
    expect(mine.get_by_test_id("steps")).to_contain_text("龙田卡点：有发现")
    expect(mine.get_by_test_id("steps")).to_contain_text("县道 216 K3")
    # only the side that opened it closes it
    assert theirs.get_by_role("button", name="关闭核查").count() == 0
    press(mine, "关闭核查")
    for page in (mine, theirs):
        expect(page.get_by_test_id("check-state")).to_have_text("已关闭")
        expect(page.get_by_role("button", name="有发现")).to_have_count(0)
    steps = mine.get_by_test_id("steps").locator("li b").all_inner_texts()
    assert steps == [
        "已发起", "黄山接受", "衢州接受", "齐溪卡点：未发现", "龙田卡点：有发现", "已关闭",
    ]  # fmt: skip


def test_each_desk_sees_that_the_other_is_there(place: Place, desk: Desk) -> None:
    mine = desk(MINE, f"#open=zone.{place.zone}").page
    expect(mine.locator("li", has_text="开化值班").locator(".there")).to_have_text("在线")
    desk(THEIRS)
    expect(mine.locator("li", has_text="休宁值班").locator(".there")).to_have_text("在线")


def test_a_check_is_declined_with_a_reason(place: Place, desk: Desk) -> None:
    theirs = desk(THEIRS).page
    made = place.sides[MINE].post(
        f"/api/zones/{place.zone}/checks",
        {"reference": "拒-1", "reason": "试", "ends_at": later(1)},
    )
    theirs.locator(f"[data-check='{made['id']}']").click()
    press(theirs, "拒绝")
    expect(theirs.get_by_role("button", name="拒绝", exact=True)).to_be_disabled()
    theirs.get_by_label("拒绝的理由").fill("今晚无人")
    press(theirs, "拒绝")
    expect(theirs.locator(f"[data-side='{THEIRS}']")).to_contain_text("今晚无人")
    place.sides[MINE].post(f"/api/checks/{made['id']}/answers", {"answer": "close"})
    expect(theirs.get_by_test_id("check-state")).to_have_text("已关闭")


def later(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def test_neither_side_can_fetch_the_others(place: Place, desk: Desk) -> None:
    """Units, records and counts of another side; zones and checks of a third are nobody else's."""
    made = place.sides[MINE].post(
        f"/api/zones/{place.zone}/checks",
        {"reference": "独-1", "reason": "试", "ends_at": later(1)},
    )
    run = place.sides[MINE].get("/api/manifest")["maps"][0]["run"]
    for side, own, other in ((MINE, KAIHUA, XIUNING), (THEIRS, XIUNING, KAIHUA)):
        page = desk(side).page
        ask = page.context.request.get
        for code, status in ((own, 200), (other, 404)):
            assert ask(f"{place.base}/api/packs/{PACK}/units/{code}").status == status
            why = f"{place.base}/api/runs/{run}/units/{code}/why?kind=theft&period=month&ord=13"
            assert ask(why).status == status
    third = Side(place.sides["3507"].request, place.base)
    for path in (f"/api/zones/{place.zone}", f"/api/checks/{made['id']}"):
        assert third.request.get(place.base + path).status == 404
    assert third.get("/api/checks")["checks"] == []
    page = desk("3507").page
    expect(page.get_by_text("没有进行中的核查")).to_be_visible()
    expect(page.locator("[data-zone]")).to_have_count(0)
    place.sides[MINE].post(f"/api/checks/{made['id']}/answers", {"answer": "close"})


def test_an_alarm_is_on_both_sides_maps(place: Place, desk: Desk) -> None:
    mine_side = place.sides[MINE]
    lon, lat = 118.262, 29.421
    mine_side.post(
        "/api/devices",
        {"pack": PACK, "devices": [
            {"reference": "smoke-1", "kind": "smoke", "lon": lon, "lat": lat, "name": "齐溪林场"},
        ]},
    )  # fmt: skip
    mine_side.post(
        "/api/devices/rules",
        {"pack": PACK, "within": MINE, "kind": "smoke", "sense": "above", "level": 5,
         "words": {"zh": "烟雾", "en": "Smoke"}},
    )  # fmt: skip
    pages = [desk(one, f"#view={lon}/{lat}/11").page for one in (MINE, THEIRS)]
    for page in pages:
        drawn(page, "device", "alarming", value=False)
    mine_side.post(
        "/api/devices/readings",
        {"pack": PACK, "readings": [
            {"device": "smoke-1", "at": datetime.now(UTC).isoformat(), "seq": 1, "value": 9.0},
        ]},
    )  # fmt: skip
    for page in pages:
        expect(page.locator(".incoming")).to_contain_text("烟雾")
        drawn(page, "device-alarm", "alarming", value=True)
        expect(page.get_by_test_id("alarms")).to_contain_text("烟雾")
    press(pages[1], "查看")
    expect(pages[1].locator(".here-answer")).to_contain_text("烟感")


def test_where_am_i(place: Place, desk: Desk) -> None:
    one = desk(
        MINE, **PHONE, geolocation={"longitude": HERE[0], "latitude": HERE[1], "accuracy": 8},
        permissions=["geolocation"],
    )  # fmt: skip
    page = one.page
    expect(page.get_by_text("不保存")).to_be_visible()
    page.get_by_role("button", name="用本机定位").last.click()
    answer = page.locator(".here-answer")
    expect(answer).to_contain_text("你在 衢州侧")
    expect(answer).to_contain_text("±8 m")
    told = place.sides[MINE].get(f"/api/packs/{PACK}/border/where?lon={HERE[0]}&lat={HERE[1]}")
    expect(page.get_by_test_id("metres")).to_have_text(f"{told['metres_to_line']:,.0f} m")
    expect(answer).to_contain_text(ZONE)
    expect(answer.locator("a.call").first).to_have_attribute("href", "tel:05706010110")
    assert answer.locator("a.call").count() == 2
    expect(answer).to_contain_text("齐溪卡点")
    # where the device is goes into no link
    assert str(HERE[0]) not in page.url
    # by code, and from a link
    search = page.get_by_role("combobox")
    search.fill("齐溪")
    page.get_by_role("option").first.click()
    expect(answer).to_contain_text("齐溪镇")
    assert "at=330824" in page.url
    other = desk(MINE, f"#at={OVER[0]},{OVER[1]}").page
    expect(other.locator(".here-answer")).to_contain_text("此处属 黄山侧")
    # a click on the map asks, too
    box = other.locator(".border-map-pane .map-box").bounding_box()
    assert box is not None
    other.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.8)
    other.wait_for_function("() => !location.hash.includes('118.24,29.45')")
    refused = desk(MINE, **PHONE).page
    refused.get_by_role("button", name="用本机定位").last.click()
    expect(refused.get_by_role("alert")).to_contain_text("未允许定位")


def test_a_zone_is_proposed_drawn_and_rejected(place: Place, desk: Desk) -> None:
    mine = desk(MINE, "#open=zone-new&view=118.25/29.44/10.5").page
    theirs = desk(THEIRS).page
    mine.locator("[name=name]").fill("手绘联控区")
    for code in (KAIHUA, XIUNING):
        mine.locator(f".members input[value='{code}']").check()
    mine.get_by_label("在地图上画").check()
    expect(mine.get_by_text("逐点画")).to_be_visible()
    mine.wait_for_function(
        "() => document.querySelector('.border-map-pane .map-box').map"
        ".getStyle().layers.some(one => one.id.startsWith('td-'))"
    )
    box = mine.locator(".border-map-pane .map-box").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for dx, dy in ((-60, -40), (70, -50), (80, 60), (-50, 50), (-60, -40)):
        mine.mouse.click(x + dx, y + dy)
    expect(mine.get_by_text("已画 4 个角点")).to_be_visible()
    press(mine, "提出")
    expect(mine.get_by_test_id("zone-state")).to_have_text("待各侧同意")
    theirs.locator("[data-zone]", has_text="手绘联控区").click()
    press(theirs, "否决")
    theirs.get_by_label("否决的理由").fill("太小")
    press(theirs, "否决")
    expect(theirs.get_by_test_id("zone-state")).to_have_text("已否决")
    expect(mine.get_by_test_id("zone-state")).to_have_text("已否决")
    # a further version, so many metres on both sides of the line, is approved by both
    press(mine, "调整联控区")
    mine.get_by_label("米数").fill("2000")
    press(mine, "提出")
    for page in (mine, theirs):
        expect(page.get_by_text("第 2 版 · 待各侧同意")).to_be_visible()
        press(page, "同意")
    for page in (mine, theirs):
        expect(page.get_by_test_id("zone-state")).to_have_text("生效中")


def test_what_is_only_visible_together(place: Place, desk: Desk) -> None:
    page = desk(MINE, "#period=quarter").page
    told = place.sides[MINE].get(f"/api/pooled/{place.pooled}/clusters")["features"]
    together = [one["properties"] for one in told if one["properties"]["seen"] == "together"]
    assert together, "the planted cluster is only visible together"
    number = together[0]["number"]
    page.locator(f"[data-cluster='{number}']").click()
    table = page.locator(".alone-table")
    rows = table.locator("tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.last).to_contain_text("4 家合看")
    expect(rows.last).to_contain_text(str(together[0]["observed"]))
    expect(page.locator(".cluster-page")).to_contain_text("合看才见")
    expect(page.locator(".cluster-page")).to_contain_text("H3 第 6 级")
    drawn(page, "cluster-together", "number", number)
    page.wait_for_function(
        "() => document.querySelector('.border-map-pane .map-box').map"
        ".queryRenderedFeatures({layers: ['cells']}).length > 3"
    )
    # in English: sides by their English names, the table inside of the panel
    english = desk(MINE, page.url.split("/border")[1] + "&lang=en").page
    table = english.locator(".alone-table")
    expect(table).to_contain_text("4 together")
    text = english.locator(".border-list [data-testid=clusters]").inner_text() + table.inner_text()
    assert not re.search(r"[\u4e00-\u9fff]", text), text
    assert table.evaluate("one => one.scrollWidth <= one.parentElement.clientWidth")
    assert table.evaluate(
        "one => one.getBoundingClientRect().right <= one.parentElement.getBoundingClientRect().right - 20"
    )
    # its link shows it again; Escape closes it
    other = desk(MINE, page.url.split("/border")[1]).page
    expect(other.locator(".alone-table")).to_be_visible()
    other.keyboard.press("Escape")
    expect(other.locator(".alone-table")).to_have_count(0)


def settled(page: Page, asked: str) -> None:
    """Wait until an asynchronous question is answered with yes (`wait_for_function` takes its promise for one)."""
    for _ in range(PATIENCE_MS // 100):
        if page.evaluate(asked):
            return
        page.wait_for_timeout(100)
    raise AssertionError(asked)


def test_offline_it_opens_with_its_age_and_loses_no_action(place: Place, desk: Desk) -> None:
    made = place.sides[MINE].post(
        f"/api/zones/{place.zone}/checks",
        {"reference": "谷-1", "reason": "试", "ends_at": later(1)},
    )
    one = desk(THEIRS, f"#view={OVER[0]}/{OVER[1]}/12", **PHONE)
    page, context = one.page, one.page.context
    page.wait_for_function("() => navigator.serviceWorker.controller !== null")
    # kept already at the first visit: the answers, and the map's tiles
    settled(
        page,
        """async () => {
          const answers = await (await caches.open('wusetu-answers')).keys();
          const tiles = await (await caches.open('wusetu-tiles')).keys();
          const has = part => answers.some(one => one.url.includes(part));
          return has('/border/lines') && has('/api/zones?') && has('/api/checks') &&
            has('/api/session') && has('/api/manifest') && tiles.length > 3;
        }""",
    )
    context.set_offline(True)
    page.reload()
    still(page)
    expect(page.locator(".offline-strip")).to_contain_text("离线 · 数据截至")
    expect(page.locator(".offline-strip")).to_contain_text(re.compile("刚才|分钟前"))
    # a place is worked out on the device, and states carry their time
    box = page.locator(".border-map-pane .map-box").bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    answer = page.locator(".here-answer")
    expect(answer).to_contain_text("本机算得")
    told = place.sides[THEIRS].get(f"/api/packs/{PACK}/border/where?lon={OVER[0]}&lat={OVER[1]}")
    shown = page.get_by_test_id("metres").inner_text().replace(",", "").removesuffix("m")
    assert float(shown) == pytest.approx(told["metres_to_line"], abs=40)  # a tap is some metres off
    expect(answer).to_contain_text(re.compile(r"\d\d:\d\d 时生效中"))
    # an action waits, outlives the page, and goes when there is a signal
    page.locator("[data-tab=checks]").click()
    page.locator(f"[data-check='{made['id']}']").click()
    press(page, "接受")
    expect(page.get_by_test_id("steps")).to_contain_text("联网后提交")
    expect(page.locator(".outbox")).to_contain_text("1 项待发送")
    page.reload()
    expect(page.locator(".outbox")).to_contain_text("1 项待发送")
    assert place.sides[MINE].get(f"/api/checks/{made['id']}")["state"] == "open"
    context.set_offline(False)
    expect(page.locator(".outbox")).to_have_count(0)
    expect(page.locator(".offline-strip")).to_have_count(0)
    until(lambda: place.sides[MINE].get(f"/api/checks/{made['id']}")["state"] == "running")
    found = place.sides[MINE].get(f"/api/checks/{made['id']}")
    assert [event["step"] for event in found["events"]] == ["open", "accept"]
    # what is refused stays, with the reason, until it is let go
    context.set_offline(True)
    expect(page.locator(".offline-strip")).to_be_visible()
    press(page, "有发现")
    expect(page.locator(".outbox")).to_contain_text("1 项待发送")
    place.sides[MINE].post(f"/api/checks/{made['id']}/answers", {"answer": "close"})
    context.set_offline(False)
    expect(page.locator(".outbox")).to_contain_text("未被接受")
    press(page, "放弃")
    expect(page.locator(".outbox")).to_have_count(0)
    # who leaves takes what was kept along
    page.evaluate("() => fetch('/api/session', {method: 'POST', body: '{}'})")
    page.wait_for_function(
        """async () => (await Promise.all((await caches.keys())
          .filter(one => !one.startsWith('wusetu-shell')).map(async one =>
            (await (await caches.open(one)).keys()).length))).every(n => n === 0)"""
    )
    one.complaints.clear()  # the browser writes down every request without a signal


def test_a_lost_stream_is_said_and_nothing_is_missed(place: Place, desk: Desk) -> None:
    one = desk(THEIRS)
    page = one.page
    page.route("**/api/live*", lambda route: route.abort())
    page.evaluate("() => dispatchEvent(new Event('online'))")  # the stream is opened anew, in vain
    expect(page.locator(".lost-strip")).to_contain_text("正在重连")
    made = place.sides[MINE].post(
        f"/api/zones/{place.zone}/checks",
        {"reference": "断-1", "reason": "试", "ends_at": later(1)},
    )
    page.unroute("**/api/live*")
    expect(page.locator(".lost-strip")).to_have_count(0)
    expect(page.locator(f"[data-check='{made['id']}']")).to_be_visible()
    place.sides[MINE].post(f"/api/checks/{made['id']}/answers", {"answer": "close"})
    one.complaints.clear()


@pytest.mark.parametrize("size", [{}, PHONE], ids=["desk", "phone"])
def test_everyone_can_use_it(place: Place, desk: Desk, size: dict[str, Any]) -> None:
    one = desk(MINE, f"#at={HERE[0]},{HERE[1]}", **size)
    page = one.page
    expect(page.locator(".here-answer")).to_be_visible()
    assert one.violations() == []
    views = [
        f"open=zone.{place.zone}", f"open=check-new.{place.zone}", "open=zone-new", "tab=checks",
        "tab=map&lang=en", "tab=alarms&theme=night", f"open=zone.{place.zone}&theme=night&lang=en",
        "open=cluster.1&lang=en",
    ]  # fmt: skip
    for view in views:
        page.evaluate("hash => { location.hash = hash }", view)
        page.wait_for_function(
            "view => document.documentElement.dataset.theme =="
            " (view.includes('night') ? 'night' : 'light') &&"
            " document.documentElement.lang == (view.includes('lang=en') ? 'en' : 'zh-CN')",
            arg=view,
        )
        assert one.violations() == [], view
        over = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, view
    if not size:
        page.goto(f"{place.base}/border#at={HERE[0]},{HERE[1]}&lang=en")
        still(page)
        # the map by keyboard: Enter asks about its middle
        page.locator(".maplibregl-canvas").focus()
        page.keyboard.press("ArrowRight")
        still(page)
        before = page.url
        page.keyboard.press("Enter")
        page.wait_for_function("before => location.href !== before", arg=before)
        page.get_by_role("link", name="Analysis").click()
        page.wait_for_url(re.compile(r"/analyst#lang=en"))
        page.get_by_role("link", name="Border").click()
        page.wait_for_url(re.compile(r"/border#lang=en"))
        still(page)


def test_the_worker_is_ours_alone(place: Place) -> None:
    answer = place.sides[MINE].request.get(f"{place.base}/sw.js")
    assert answer.status == 200
    assert "javascript" in answer.headers["content-type"]
    assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"]
    assert "worker-src 'self'" in policy
    assert "script-src 'self';" in policy


@pytest.mark.parametrize("width", [720, 1024])
def test_between_a_phone_and_a_desk_everything_is_within_reach(desk: Desk, width: int) -> None:
    one = desk(MINE, "#pattern=1", width=width, height=800)
    page = one.page
    expect(page.locator("[data-cluster]").first).to_be_visible()
    picture(one, f"border-between-{width}")
    assert unreachable(one) == []
    assert one.violations() == []
    # what is opened lies beside the list, leaves some of the map, and goes by Escape
    row = page.locator("[data-cluster]").first
    row.click()
    panel = page.locator(".border-panel")
    expect(panel.locator("h2")).to_be_visible()
    still(page)
    picture(one, f"border-between-{width}-open")
    assert unreachable(one) == []
    stage, lies = page.locator(".stage").bounding_box(), panel.bounding_box()
    assert stage
    assert lies
    assert lies["x"] >= stage["x"] + 40 or lies["y"] >= stage["y"] + 150
    page.keyboard.press("Escape")
    expect(row).to_be_focused()


def test_a_period_is_looked_at_anew_and_can_be_called_off(desk: Desk, place: Place) -> None:
    one = desk(MINE)
    page = one.page
    box = page.locator(".assess")
    box.get_by_role("button", name="重新合看").click()
    expect(box.get_by_role("progressbar")).to_be_visible()
    # a page that is opened again goes on telling of it
    page.reload()
    expect(box.get_by_role("progressbar")).to_be_visible()
    assert one.violations() == []
    box.get_by_role("button", name="取消").click()
    expect(box).to_have_attribute("data-state", "cancelled")
    expect(box).to_contain_text("已取消")
    expect(box.get_by_role("button", name="重新合看")).to_be_focused()
    # and once to its end: the new run is the one shown
    box.get_by_role("button", name="重新合看").click()
    expect(box).to_have_attribute("data-state", "done", timeout=4 * PATIENCE_MS)
    runs = place.sides[MINE].get("/api/pooled?pack=alliance")["runs"]
    newest = max(run["id"] for run in runs)
    assert newest > place.pooled
    expect(page.locator(".run-choice")).to_have_value(str(newest))
    still(page)
