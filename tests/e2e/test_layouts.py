"""Every layout, language and theme: readable, reachable, inside its own house."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import cycle

import pytest
from e2e_desk import Desk
from e2e_map import COUNTY, HOT, HOT_NAME
from e2e_page import Watched
from playwright.sync_api import Route, expect

Opener = Callable[..., Watched]

LAYOUTS = [
    pytest.param(1440, 900, "/", id="desk"),
    pytest.param(1440, 900, f"/#scope={COUNTY}&unit={HOT}&lang=en", id="desk-en"),
    pytest.param(1440, 900, f"/#scope={COUNTY}&unit={HOT}&theme=night&pattern=1", id="night"),
    pytest.param(1440, 900, "/#table=1", id="table"),
    pytest.param(1000, 768, f"/#unit={HOT}", id="drawer"),
    pytest.param(390, 844, f"/#unit={HOT}", id="phone"),
    pytest.param(1920, 1080, "/?wall", id="wall"),
    pytest.param(1920, 1080, "/?wall#lang=en&kind=dispute", id="wall-en"),
]


@pytest.mark.parametrize(("width", "height", "address"), LAYOUTS)
def test_every_layout_is_readable_and_fits(
    visit: Opener, width: int, height: int, address: str
) -> None:
    # without motion: what fades in has less contrast while it does
    desk = Desk(visit(width, height, reduced_motion="reduce")).open(address)
    expect(desk.page.locator(".rank-row").first).to_be_attached()
    # nothing sticks out of the screen
    over = desk.page.evaluate(
        "() => [document.documentElement.scrollWidth - innerWidth, "
        "document.documentElement.scrollHeight - innerHeight]"
    )
    assert max(over) <= 0
    # axe finds nothing serious or critical
    assert desk.watched.violations() == []


def test_english_is_complete(visit: Opener) -> None:
    desk = Desk(visit()).open("/#lang=en")
    expect(desk.page.locator(".rank-row").first).to_be_visible()
    text = desk.page.locator("body").inner_text()
    left = set(re.findall(r"[\u4e00-\u9fff]+", text)) - {"中"}
    # grids and villages have no English names; on the town map everything has
    assert left == set()
    desk.page.get_by_role("button", name="中", exact=True).click()
    expect(desk.page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(desk.page.get_by_text("风险评估色").first).to_be_visible()


def test_the_wall_shows_everything_and_turns(visit: Opener) -> None:
    watched = visit(1920, 1080)
    watched.page.clock.install()
    desk = Desk(watched).open("/?wall#kind=dispute")
    page = watched.page
    expect(page.locator(".wall-headline")).to_contain_text("明显高于预期")
    expect(page.locator(".wall-counts li")).to_have_count(6)
    expect(page.locator(".kind-table tbody tr")).to_have_count(9)
    expect(page.locator(".rank-row")).to_have_count(10)
    expect(page.locator(".rank-row").first).to_contain_text(HOT_NAME)
    # the reasons are those of the selected unit, whichever it is by now
    page.wait_for_function(
        """() => { const name = document.querySelector('.rank-row[aria-current=true] .name');
        return name !== null
          && document.querySelector('.wall-why')?.textContent.includes(name.textContent) }"""
    )
    expect(page.get_by_text("近似边界")).to_be_visible()
    expect(page.get_by_text("模拟事件")).to_be_visible()
    assert page.locator(".wall button:enabled:visible").count() == page.locator(".rank-row").count()
    frame = page.evaluate("() => document.querySelector('.map-box').map.getBounds().toArray()")
    page.evaluate(
        "() => document.querySelector('.map-box').map.on('movestart', () => { window.moved = true })"
    )
    chosen = desk.state()["unit"]
    page.clock.run_for(31_000)
    page.wait_for_function("before => !location.hash.includes('unit=' + before)", arg=chosen)
    after = page.evaluate("() => document.querySelector('.map-box').map.getBounds().toArray()")
    assert after == frame
    assert page.evaluate("() => window.moved") is None


def test_the_wall_scales_with_the_screen(visit: Opener) -> None:
    desk = Desk(visit(3840, 2160)).open("/?wall")
    size = desk.page.evaluate(
        "() => parseFloat(getComputedStyle(document.documentElement).fontSize)"
    )
    assert size == pytest.approx(32, abs=0.1)
    # the map's own pens and letters too
    name = desk.page.evaluate(
        "() => document.querySelector('.map-box').map.getLayoutProperty('label-county', 'text-size')"
    )
    assert name == pytest.approx(38, abs=0.2)


def test_the_phone_reads_the_reason_in_a_sheet(visit: Opener) -> None:
    watched = visit(390, 844, has_touch=True, is_mobile=True)
    desk = Desk(watched).open("/#kind=dispute")
    desk.expect_units(15)
    hits = desk.search("良渚")
    hits.first.tap()
    expect(desk.title()).to_have_text(HOT_NAME)
    expect(desk.panel.locator(".waterfall")).to_be_in_viewport()
    small = desk.page.evaluate(
        """() => [...document.querySelectorAll('button, select, input, a')]
          .filter(one => one.checkVisibility() && !one.closest('.hidden, .crumbs, .links'))
          .map(one => ({name: one.className || one.tagName, box: one.getBoundingClientRect()}))
          .filter(one => one.box.width > 0 && one.box.height < 39)
          .map(one => one.name)"""
    )
    assert [name for name in small if name not in {"skip", "link"}] == []
    desk.page.locator(".sheet-handle").tap()
    expect(desk.page.locator(".desk")).not_to_have_class(re.compile("panel-open"))


#: Where the frame of the map lies in its box, and where the legend begins, px from the box's top.
FRAMED = """() => {
  const map = document.querySelector('.map-box').map;
  const box = map.getContainer().getBoundingClientRect();
  const [[west, south], [east, north]] = window.frame;
  const [a, b] = [map.project([west, north]), map.project([east, south])];
  return {left: a.x, top: a.y, right: box.width - b.x, bottom: b.y,
    legend: document.querySelector('.legend').getBoundingClientRect().top - box.top};
}"""
KEEP_FRAME = """async () => {
  const [west, south, east, north] = (await (await fetch('/api/manifest')).json()).maps[0].bounds;
  window.frame = [[west, south], [east, north]];
}"""


@pytest.mark.parametrize(("width", "height"), [(390, 844), (360, 740)])
def test_a_phone_s_legend_covers_nothing_of_the_city(
    visit: Opener, width: int, height: int
) -> None:
    desk = Desk(visit(width, height, has_touch=True, is_mobile=True, reduced_motion="reduce"))
    desk.open("/")
    page = desk.page
    page.evaluate(KEEP_FRAME)
    free = f"() => {{ const at = ({FRAMED})(); return at.bottom <= at.legend - 8 && at.top >= 60 }}"
    page.wait_for_function(free)
    # a low phone shows one row of numbers until somebody wants the words
    fold = page.locator(".legend-fold")
    expect(fold).to_have_attribute("aria-expanded", "true" if height > 780 else "false")
    if height <= 780:
        legend = page.locator(".legend")
        assert legend.bounding_box()["height"] <= 48
        assert [one.split()[-1] for one in page.locator(".legend li").all_inner_texts()] == [
            str(one) for one in desk.legend().values()
        ]
        fold.tap()
        expect(fold).to_have_attribute("aria-expanded", "true")
        page.wait_for_function(free)
        assert page.locator(".legend li b").first.bounding_box()["width"] > 8
    # the letters grow, and the legend with them
    before = page.evaluate(FRAMED)["legend"]
    page.evaluate("() => { document.documentElement.style.fontSize = '20px' }")
    page.wait_for_function(f"before => ({FRAMED})().legend < before - 5", arg=before)
    page.wait_for_function(free)


def test_a_map_nobody_moved_is_framed_anew_when_its_window_changes(visit: Opener) -> None:
    desk = Desk(visit(1440, 900, reduced_motion="reduce")).open("/")
    page = desk.page
    page.evaluate(KEEP_FRAME)
    zoom = "() => document.querySelector('.map-box').map.getZoom()"
    # one of both directions is filled up to the padding
    filled = f"""() => {{ const at = ({FRAMED})();
      const height = document.querySelector('.map-box').clientHeight;
      return Math.min(Math.abs(at.left - 40) + Math.abs(at.right - 70),
        Math.abs(at.top - 58) + Math.abs(height - 44 - at.bottom)) < 3 }}"""
    page.wait_for_function(filled)
    small = page.evaluate(zoom)
    page.set_viewport_size({"width": 2400, "height": 1250})
    page.wait_for_function(f"small => ({zoom})() > small + 0.3", arg=small)
    page.wait_for_function(filled)
    # the reader's own view stays
    page.get_by_role("button", name="放大").click()
    page.wait_for_function("() => !document.querySelector('.map-box').map.isMoving()")
    own = page.evaluate(zoom)
    page.evaluate(
        "() => document.querySelector('.map-box').map.on('resize', () => { window.resized = true })"
    )
    page.set_viewport_size({"width": 1440, "height": 900})
    page.wait_for_function("() => window.resized")
    assert page.evaluate(zoom) == pytest.approx(own, abs=1e-6)
    # until it is asked for
    page.get_by_role("button", name="回到全范围").click()
    page.wait_for_function(filled)


def test_a_phone_shows_the_whole_stale_strip(visit: Opener) -> None:
    watched = visit(360, 740, has_touch=True, is_mobile=True)
    watched.page.clock.install()
    desk = Desk(watched).open("/")
    watched.page.route("**/api/manifest", lambda route: route.abort())
    watched.page.clock.run_for(61_000)
    strip = watched.page.locator(".stale")
    expect(strip).to_contain_text("服务器没有应答")
    cut = strip.evaluate(
        "strip => { const box = strip.getBoundingClientRect();"
        " return [...strip.children].filter(one => { const own = one.getBoundingClientRect();"
        " return own.top < box.top || own.bottom > box.bottom || own.right > innerWidth; }).length }"
    )
    assert cut == 0
    assert desk.page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    watched.complaints.clear()


def test_a_small_phone_has_room_for_everything_in_english(visit: Opener) -> None:
    desk = Desk(visit(360, 740, has_touch=True, is_mobile=True, reduced_motion="reduce"))
    desk.open(f"/#lang=en&unit={HOT}")
    expect(desk.panel.locator(".figures")).to_be_attached()
    # when the words are longest: nothing leaves the screen, and the bars of the time line are seen
    outside = desk.page.evaluate(
        """() => [...document.querySelectorAll('.legend *, .figures *, .timeline *')]
          .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5)
          .map(one => one.outerHTML.slice(0, 80))"""
    )
    assert outside == []
    assert desk.page.locator(".bars").evaluate("one => one.clientWidth") > 120


#: Boxes of what is written in the panel: those beyond its edge, and neighbours nearer than a space.
CROWDED = """() => {
  const edge = document.querySelector('.panel-body').getBoundingClientRect().right
    - parseFloat(getComputedStyle(document.querySelector('.panel-body')).paddingRight);
  const box = one => { const range = document.createRange(); range.selectNodeContents(one);
    return range.getBoundingClientRect(); };
  const of = what => [...document.querySelectorAll(what)].map(box);
  const beyond = of('.figures dt, .figures dd, .exposures dt, .exposures dd, .changes b, .actions .button')
    .filter(one => one.right > edge + 0.5);
  const near = [];
  for (const what of ['.exposures dd', '.exposures dt']) {
    const all = of(what);
    for (const one of all) for (const other of all) {
      const level = one.top < other.bottom && other.top < one.bottom;
      if (other.left > one.left && level && other.left - one.right < 4) near.push([one, other]);
    }
  }
  return [beyond.length, near.length];
}"""


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("width", [1440, 390])
def test_numbers_of_a_large_unit_stay_apart(visit: Opener, lang: str, width: int) -> None:
    desk = Desk(visit(width, 900, reduced_motion="reduce"))

    def grow(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        sizes = (1_323_467, 738_701, 141_583, 509_026)
        body["exposures"] = dict(zip(body["exposures"], cycle(sizes)))
        route.fulfill(
            response=answer,
            json=body | {"observed": 13_405, "expected": 13_295.4, "complexity": 168},
        )

    desk.page.route("**/why?*", grow)
    desk.open(f"/#lang={lang}&unit={HOT}")
    expect(desk.panel.locator(".exposures")).to_contain_text("1,323,467")
    if width < 720:
        desk.page.locator(".sheet-handle").click()
    assert desk.page.evaluate(CROWDED) == [0, 0]


def test_the_drawer_s_handle_covers_nothing_and_pages_fit_in_english(visit: Opener) -> None:
    desk = Desk(visit(1000, 768, reduced_motion="reduce")).open("/#lang=en")
    handle = desk.page.locator(".sheet-handle").bounding_box()
    legend = desk.page.locator(".legend").bounding_box()
    assert handle
    assert legend
    assert (
        legend["x"] + legend["width"] <= handle["x"]
        or legend["y"] + legend["height"] <= handle["y"]
        or handle["y"] + handle["height"] <= legend["y"]
    )
    cut = desk.page.evaluate(
        "() => [...document.querySelectorAll('.topbar .pages, .topbar .crumbs, .topbar .crumb')]"
        ".filter(one => one.scrollWidth > one.clientWidth).length"
    )
    assert cut == 0


def test_colours_follow_the_chosen_set(visit: Opener) -> None:
    desk = Desk(visit()).open("/#kind=dispute")
    fill = "() => JSON.stringify(document.querySelector('.map-box').map.getPaintProperty('fill', 'fill-color'))"
    assert "#C0262E" in desk.page.evaluate(fill)
    desk.page.get_by_role("button", name="显示设置").click()
    desk.page.get_by_role("button", name="阶梯色").click()
    desk.page.get_by_label("叠加图案").check()
    desk.expect_state(palette="stepped", pattern="1")
    desk.page.wait_for_function(f"() => ({fill})().includes('#7A0C20')")
    desk.page.wait_for_function(
        "() => document.querySelector('.map-box').map.getLayoutProperty('pattern-red', 'visibility') !== 'none'"
    )
    desk.settle()
    desk.expect_unit(HOT, colour=5)


def test_reduced_motion_is_obeyed(visit: Opener) -> None:
    desk = Desk(visit(reduced_motion="reduce")).open("/")
    durations = desk.page.evaluate(
        "() => [...document.querySelectorAll('.panel, .button, .rank-row')]"
        ".map(one => getComputedStyle(one).transitionDuration)"
    )
    assert set(durations) == {"0s"}
