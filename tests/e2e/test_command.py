"""The command view on a desk: drill, switch, ask why, search, keyboard, links."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from e2e_desk import Desk
from e2e_map import COUNTIES, COUNTY, HOT, HOT_NAME, PACK
from e2e_page import Watched
from playwright.sync_api import expect

RED, ORANGE = 5, 4


def paths(requests: list[Any]) -> list[str]:
    return [urlsplit(one.url).path for one in requests]


def test_the_map_opens_on_the_newest_month_with_all_towns(desk: Desk) -> None:
    # given nothing but the address; when it is opened
    desk.open("/")
    # then the towns of the map are coloured, counted, and what is not real is said
    assert sum(desk.legend().values()) == 15
    assert list(desk.legend()) == ["red", "orange", "yellow", "blue", "green", "none"]
    assert desk.unit(HOT)["colour"] in {RED, ORANGE}
    expect(desk.page.get_by_text("近似边界").first).to_be_visible()
    expect(desk.page.get_by_text("模拟事件").first).to_be_visible()
    expect(desk.page.locator(".period-name")).to_have_text("2025年12月")
    expect(desk.page.locator(".map-run")).to_contain_text("第 1 次评估 · 边界 2023-06 · 截至")
    expect(desk.page.locator(".bar")).to_have_count(24)


def test_drilling_from_city_to_grid_and_back(desk: Desk) -> None:
    desk.open("/#kind=dispute")
    # when the hot town is clicked, and clicked again
    desk.click_unit(HOT)
    desk.expect_state(unit=HOT, scope=None)
    desk.settle()
    desk.expect_unit(HOT, selected=True)
    desk.click_unit(HOT)
    # then its district is entered, the town stays selected, villages are shown
    desk.expect_state(scope=COUNTY, unit=HOT)
    expect(desk.page.locator("[data-level=village]")).to_have_attribute("aria-pressed", "true")
    desk.settle()
    expect(desk.page.locator(".crumb").last).to_have_text("余杭区")
    desk.expect_units(223)
    # when it goes on by keyboard
    desk.page.locator(".map-box canvas").focus()
    desk.page.keyboard.press("Enter")
    desk.expect_state(scope=HOT)
    desk.settle()
    expect(desk.page.locator("[data-level=grid]")).to_have_attribute("aria-pressed", "true")
    # then everything outside the scope has lost its colour
    desk.expect_fills("fills.every(one => one.properties.code.startsWith(arg))", HOT)
    # and back up
    desk.page.keyboard.press("Backspace")
    desk.expect_state(scope=COUNTY)
    desk.page.go_back()
    desk.expect_state(scope=HOT)
    desk.page.locator(".crumb").first.click()
    desk.expect_state(scope=None)


def test_all_grids_of_the_map_can_be_shown_at_once(desk: Desk) -> None:
    desk.open("/")
    desk.level("grid")
    desk.settle()
    manifest = desk.page.request.get(desk.watched.base + "/api/manifest").json()
    total = manifest["maps"][0]["levels"][-1]["count"]
    assert total > 1000
    desk.expect_units(total)


@pytest.mark.parametrize("switch", ["kind", "period"])
def test_a_switch_moves_one_small_payload_and_no_tile(desk: Desk, switch: str) -> None:
    # given all grids on the map
    desk.open("/#level=grid")
    count = sum(desk.legend().values())
    mark = len(desk.watched.requests)
    # when the kind or the period is switched
    address = {
        "kind": "/values/grid/dispute/month/23",
        "period": "/values/grid/overall/month/22",
    }[switch]
    with desk.page.expect_response(re.compile(re.escape(address))) as answer:
        if switch == "kind":
            desk.kind("dispute")
        else:
            desk.page.keyboard.press("[")
    desk.settle()
    desk.page.wait_for_timeout(400)
    # then exactly one payload of two bytes per unit came, and no tile
    moved = paths(desk.watched.since(mark))
    assert [path for path in moved if "/tiles/" in path] == []
    assert len([path for path in moved if "/values/" in path]) == 1
    body = answer.value.body()
    assert len(body) == 2 * count
    # 15,000 grids are 30,000 bytes before compression
    assert len(body) * 15_000 / count <= 30_000
    # and every grid has the colour it says
    desk.expect_fills(
        "fills.every(one => one.state.c === arg.colour[one.id - arg.first])",
        {"first": _first(desk, "grid"), "colour": list(body[:count])},
    )


def _first(desk: Desk, level: str) -> int:
    manifest = desk.page.request.get(desk.watched.base + "/api/manifest").json()
    found = next(one for one in manifest["maps"][0]["levels"] if one["id"] == level)
    return int(found["first_id"])


def test_an_answer_that_comes_too_late_is_dropped(desk: Desk) -> None:
    desk.open("/")
    # given an answer that is held back
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    desk.page.route("**/values/town/dispute/month/23", hold)
    with desk.page.expect_request(re.compile("values/town/dispute/month/23")):
        desk.kind("dispute")
    with desk.page.expect_response(re.compile("values/town/theft/month/23")) as answer:
        desk.kind("theft")
    # when it is let go after the next one came
    desk.settle()
    first = _first(desk, "town")
    right = list(answer.value.body()[:15])
    assert any(colour != RED for colour in right)
    same = "fills.every(one => one.state.c === arg.colour[one.id - arg.first])"
    desk.expect_fills(same, {"first": first, "colour": right})
    assert held
    for route in held:
        route.fulfill(status=200, body=bytes([RED] * 15 + [200] * 15))
    desk.page.wait_for_timeout(300)
    # then it has not been painted
    desk.expect_fills(same, {"first": first, "colour": right})


@pytest.mark.parametrize("kind", ["overall", "dispute"])
def test_the_reasons_add_up_as_printed(desk: Desk, kind: str) -> None:
    desk.open(f"/#unit={HOT}&kind={kind}")
    expect(desk.title()).to_have_text(HOT_NAME)
    expect(desk.panel.locator(".waterfall")).to_be_visible()
    first, *parts, last = desk.waterfall()
    assert first == 1.0
    assert last == desk.theta()
    assert sum(parts) + 1 == pytest.approx(last, abs=1e-9)
    if kind == "overall":
        assert len(parts) == 5
        desk.panel.get_by_role("button", name="看全部各类").click()
        expect(desk.panel.locator(".waterfall .name")).to_have_count(11)
        _, *parts, last = desk.waterfall()
        assert len(parts) == 9
        assert sum(parts) + 1 == pytest.approx(last, abs=1e-9)
    # who, how much, why, exposures, since when, compared with whom
    for text in [
        "相对风险（95% 区间）",
        "观测 / 预期",
        "常住人口",
        "12 个月",
        "杭州市排名",
        "较上月",
    ]:
        expect(desk.panel.get_by_text(text).first).to_be_visible()
    expect(desk.panel.get_by_text(re.compile("记得以往|不带以往记忆"))).to_be_visible()
    expect(desk.panel.locator("[aria-current=true]")).to_contain_text(HOT_NAME)
    # the server's own numbers stand there
    why = desk.page.request.get(
        f"{desk.watched.base}/api/runs/1/units/{HOT}/why?kind={kind}&period=month&ord=23"
    ).json()
    assert desk.theta() == pytest.approx(why["estimate"]["theta"], abs=0.0051)
    expect(desk.panel.locator(".figures b").last).to_have_text(f"{why['observed']:,}")


def test_search_by_keyboard_by_name_and_by_code(desk: Desk) -> None:
    desk.open("/")
    hits = desk.search("良渚")
    expect(hits.first).to_contain_text(HOT_NAME)
    desk.page.keyboard.press("Enter")
    desk.expect_state(unit=HOT, scope=COUNTY, level="town")
    expect(desk.title()).to_have_text(HOT_NAME)
    desk.settle()
    desk.expect_unit(HOT, selected=True)
    hits = desk.search(COUNTIES[0])
    expect(hits.first).to_contain_text("滨江区")
    desk.page.keyboard.press("Escape")
    desk.search("没有这个地方")
    expect(desk.page.get_by_text("没有找到“没有这个地方”")).to_be_visible()


def test_keys_move_select_and_announce(desk: Desk) -> None:
    desk.open("/")
    # given the focus on the map
    desk.page.locator(".map-box canvas").focus()
    desk.page.keyboard.press("ArrowRight")
    desk.page.wait_for_function("() => location.hash.includes('unit=')")
    first = desk.state()["unit"]
    expect(desk.page.get_by_test_id("announcer")).to_contain_text(
        re.compile(r"，[红橙黄蓝绿]，相对风险 \d\.\d\d，区间 .*，名次 \d+")
    )
    seen = {first}
    for key in ("ArrowUp", "ArrowLeft", "ArrowDown", "ArrowRight"):
        desk.page.keyboard.press(key)  # the link follows before this is over
        seen.add(desk.state()["unit"])
    assert len(seen) > 2
    # periods
    desk.page.keyboard.press("[")
    desk.expect_state(ord="22")
    desk.page.keyboard.press("]")
    desk.expect_state(ord=None)
    desk.page.keyboard.press("Escape")
    desk.expect_state(unit=None)


def test_a_link_restores_everything(desk: Desk, visit: Callable[..., Watched]) -> None:
    link = (
        f"/#scope={COUNTY}&level=town&kind=dispute&period=quarter&unit={HOT}"
        "&theme=night&lang=en&palette=stepped&ord=6&view=119.95/30.36/10.5&pattern=1"
    )
    desk.open(link)
    expect(desk.page.locator(".period-name")).to_have_text("Q3 2025")
    expect(desk.page.locator("[data-kind=dispute]")).to_have_attribute("aria-pressed", "true")
    expect(desk.page.locator("[data-level=town]")).to_have_attribute("aria-pressed", "true")
    expect(desk.title()).to_have_text("Liangzhu Subdistrict")
    expect(desk.page.locator("html")).to_have_attribute("data-theme", "night")
    camera = desk.page.evaluate(
        "() => { const m = document.querySelector('.map-box').map; "
        "return [m.getCenter().lng, m.getCenter().lat, m.getZoom()] }"
    )
    assert camera == pytest.approx([119.95, 30.36, 10.5], abs=1e-3)
    # and the same again on another machine
    other = Desk(visit()).open("/" + desk.page.url.split("/", 3)[3])
    assert other.state() == desk.state()
    assert other.theta() == desk.theta()


def test_time_line_slider_and_play(desk: Desk) -> None:
    desk.open("/")
    slider = desk.page.get_by_role("slider", name="时间轴")
    slider.focus()
    slider.press("ArrowLeft")
    desk.expect_state(ord="22")
    expect(slider).to_have_attribute("aria-valuetext", "2025年11月")
    desk.page.get_by_role("button", name="播放").click()
    # past the newest it begins again
    desk.page.wait_for_function("() => /ord=(\\d|1\\d)(&|$)/.test(location.hash)")
    desk.page.get_by_role("button", name="暂停").click()
    desk.page.locator("[data-period=year]").click()
    expect(desk.page.locator(".bar")).to_have_count(2)


def test_the_map_has_its_table_and_its_file(desk: Desk) -> None:
    desk.open("/#kind=dispute")
    desk.page.get_by_role("button", name="表格").click()
    rows = desk.page.locator(".table-panel tbody tr")
    expect(rows).to_have_count(15)
    expect(rows.first).to_contain_text(HOT_NAME)
    with desk.page.expect_download() as saved:
        desk.page.locator(".table-panel a[download]").click()
    lines = saved.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len([line for line in lines if not line.lstrip('"').startswith("#")]) == 16
    desk.page.keyboard.press("Escape")
    desk.expect_state(table=None)


def test_nothing_happened_is_said_and_two_ways_lead_out(desk: Desk) -> None:
    desk.open("/#kind=homicide")
    expect(desk.panel.get_by_text("本月没有命案")).to_be_visible()
    expect(desk.panel.get_by_role("button", name="看综合")).to_be_visible()
    desk.panel.get_by_role("button", name="看全年").click()
    desk.expect_state(period="year")
    expect(desk.panel.locator(".rank-row").first).to_be_visible()


def test_a_failure_says_what_still_works_and_can_be_retried(
    visit: Callable[..., Watched],
) -> None:
    # given a server that fails at one question, until a button is pressed: a panel asks again by
    # itself, too, and must not be well before
    watched = visit()
    desk = Desk(watched)
    body = {"code": "internal", "message": "x", "detail": None, "request_id": "7f3a-21c9"}
    watched.page.add_init_script(
        "addEventListener('click', () => { window.pressed = true }, {capture: true})"
    )

    def answer(route: Any) -> None:
        if desk.page.evaluate("() => window.pressed === true"):
            route.continue_()
        else:
            route.fulfill(status=503, content_type="application/json", body=json.dumps(body))

    desk.page.route("**/ranking?*", answer)
    desk.open("/")
    alert = desk.panel.get_by_role("alert")
    expect(alert).to_contain_text("排名没有取到")
    expect(alert).to_contain_text("其他面板不受影响")
    expect(alert).to_contain_text("请求号 7f3a-21c9")
    # when one tries again
    alert.get_by_role("button", name="重试").click()
    expect(desk.panel.locator(".rank-row").first).to_be_visible()
    # the browser itself reports the failed request: that is the one complaint allowed
    assert all("503" in text for text in watched.complaints)
    watched.complaints.clear()


def test_an_unknown_unit_or_scope_is_said(visit: Callable[..., Watched]) -> None:
    watched = visit()
    desk = Desk(watched)
    desk.page.goto(watched.base + "/#scope=339999")
    expect(desk.panel.get_by_role("alert")).to_contain_text("这个范围没有取到")
    desk.panel.get_by_role("button", name="看全图").click()
    desk.expect_state(scope=None)
    desk.settle()
    assert all("404" in text for text in watched.complaints)
    watched.complaints.clear()


@pytest.mark.parametrize(("lang", "said"), [("zh", "没有这张地图"), ("en", "This map is not here")])
def test_an_unknown_map_is_said_and_no_other_shown(desk: Desk, lang: str, said: str) -> None:
    desk.page.goto(f"{desk.watched.base}/#map=atlantis&scope={COUNTY}&kind=dispute&lang={lang}")
    alert = desk.page.get_by_role("alert")
    expect(alert).to_contain_text(said)
    expect(alert).to_contain_text("atlantis")
    expect(desk.page.locator(".map-box")).to_have_count(0)
    assert desk.watched.violations() == []
    # the maps there are lead out; the unit of the other map is left behind
    alert.get_by_role("button", name={"zh": "杭州市", "en": "Hangzhou"}[lang]).click()
    desk.expect_state(map=PACK, scope=None, kind="dispute")
    desk.settle()
    desk.expect_units(15)


def test_a_panel_that_failed_heals_by_itself(visit: Callable[..., Watched]) -> None:
    watched = visit()
    watched.page.clock.install()
    desk = Desk(watched).open("/")
    page = desk.page
    asked: list[str] = []

    def fail(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(status=503, content_type="application/json", body="{}")

    page.route("**/ranking?*", fail)
    desk.kind("fire")
    expect(page.get_by_role("alert")).to_contain_text("排名没有取到")
    # the one retry of its own fails too, whenever it was made
    page.clock.run_for(16_000)
    desk.wait_until(lambda: len(asked) > 1)
    expect(page.get_by_role("alert")).to_contain_text("排名没有取到")
    page.unroute("**/ranking?*")
    # when the server is heard again, nobody has to press a button
    page.clock.run_for(61_000)
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".rank-row").first).to_be_visible()
    watched.complaints.clear()


def test_old_data_is_said_when_the_server_is_gone(visit: Callable[..., Watched]) -> None:
    watched = visit()
    desk = Desk(watched)
    watched.page.clock.install()
    desk.open("/")
    before = desk.legend()
    watched.page.route("**/api/manifest", lambda route: route.abort())
    watched.page.clock.run_for(61_000)
    expect(watched.page.locator(".stale")).to_contain_text("数据停在")
    expect(watched.page.locator(".stale")).to_contain_text("服务器没有应答")
    assert desk.legend() == before
    watched.complaints.clear()
