"""The analyst's page: an area by mouse, touch and file; its number; jobs; every file opened again."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas as gpd
import httpx
import pandas as pd
import pytest
import rasterio
import shapely
import sqlalchemy as sa
from e2e_bench import Bench
from e2e_map import COUNTY, HOT, PACK
from e2e_page import Watched
from playwright.sync_api import Browser, expect
from pypdf import PdfReader

from app.database import make_engine
from app.settings import Settings

Opener = Callable[..., Watched]

#: The middle of the district with the planted risk.
VIEW = "view=120.02/30.38/11"
SQUARE = shapely.box(119.95, 30.33, 120.08, 30.42)
#: The same, as a link: the numbers of a polygon drawn once and read from its address.
SPAN = "span=2025-01-01_2026-01-01"


@pytest.fixture(scope="module")
def engine(small_map: Settings) -> Iterator[sa.Engine]:
    assert small_map.database.url
    one = make_engine(small_map.database.url)
    yield one
    one.dispose()


@pytest.fixture(scope="module")
def ready(server: str) -> None:
    """On a new machine the server compiles first what answers areas: nobody waits for that here."""
    area = {"circle": {"lon": 120.02, "lat": 30.38, "metres": 900}}
    body = {"area": area, "start": "2025-01-01", "end": "2025-03-01"}
    for asked in ("count", "analyse"):
        address = f"{server}/api/packs/{PACK}/areas/{asked}"
        for _ in range(20):
            answer = httpx.post(address, json=body, timeout=120)
            if answer.status_code != 429:
                break
        assert answer.status_code == 200, answer.text


@pytest.fixture
def bench(visit: Opener, engine: sa.Engine, ready: None) -> Callable[..., Bench]:
    """Open the page in a layout."""
    return lambda *size, **options: Bench(visit(*size, **options), engine)


def test_drawn_with_the_mouse_changed_taken_back_and_linked(bench: Callable[..., Bench]) -> None:
    one = bench().open(f"#{VIEW}&{SPAN}")
    expect(one.page.get_by_text("在地图上画一个区域")).to_be_visible()
    one.tool("polygon")
    corners = [(250, 180), (560, 200), (600, 420), (280, 460)]
    for corner in corners:
        one.click(*corner)
    # the number is there before the shape is
    expect(one.page.get_by_test_id("observed")).to_have_text(re.compile(r"^[\d,]+$"))
    one.click(*corners[0])
    one.areas(1)
    first = one.observed()
    assert first == one.brute() > 100
    assert one.page.locator(".kinds-table tbody tr").count() == 9
    expect(one.page.get_by_test_id("sentence")).to_contain_text("倍")
    link = one.page.url
    # a corner pulled outward
    asked = len(one.watched.requests)
    one.drag(corners[2], (780, 600))
    one.page.wait_for_function("before => location.href !== before", arg=link)
    second = one.observed()
    assert second == one.brute() != first
    assert any("/areas/count" in request.url for request in one.watched.since(asked))
    # the interval followed, too: it is that of a page which knows nothing else
    fresh = bench().open(one.page.url.split("/analyst")[1])
    assert fresh.observed() == second
    risk = fresh.page.get_by_test_id("risk").locator("..")
    expect(risk).to_contain_text("–")
    expect(one.page.get_by_test_id("risk").locator("..")).to_have_text(risk.inner_text())
    one.page.keyboard.press("Control+z")
    one.page.wait_for_function("before => location.href === before", arg=link)
    assert one.observed() == first
    # the link alone brings everything back
    other = bench().open(link.split("/analyst")[1])
    assert other.observed() == first
    assert other.asked()["area"] == one.asked()["area"]


def test_drawn_with_a_finger(bench: Callable[..., Bench]) -> None:
    one = bench(390, 844, has_touch=True, is_mobile=True).open(f"#{VIEW}&{SPAN}")
    one.page.locator("[data-tool=polygon]").tap()
    for x, y in [(80, 80), (310, 90), (300, 200), (100, 190)]:
        one.page.touchscreen.tap(*one.at(x, y))
    one.page.locator(".drawing-bar .button-primary").tap()
    one.areas(1)
    assert one.observed() == one.brute() > 100


def test_brought_in_a_file_or_by_hand(bench: Callable[..., Bench], tmp_path: Path) -> None:
    file = tmp_path / "markets.gpkg"
    gpd.GeoDataFrame({"name": ["市场"]}, geometry=[SQUARE], crs="EPSG:4326").to_file(file)
    one = bench().open(f"#{SPAN}")
    one.tool("upload")
    one.page.locator(".bring input[type=file]").set_input_files(file)
    one.areas(1)
    assert one.observed() == one.brute() > 100
    # a shape that crosses itself is refused in words
    one.tool("paste")
    text = one.page.locator(".bring textarea")
    text.fill("120.0 30.3; 120.1 30.4; 120.1 30.3; 120.0 30.4")
    one.page.locator(".bring .button-primary").click()
    expect(one.page.locator(".bring [role=alert]")).to_be_visible()
    one.watched.complaints.clear()  # the browser writes down every refusal
    text.fill(shapely.box(120.02, 30.3, 120.15, 30.36).wkt)
    one.page.locator(".bring .button-primary").click()
    one.areas(2)
    both = one.observed()
    assert both == one.brute()
    one.tool("intersect")
    one.areas(3)
    common = one.observed()
    assert common == one.brute()
    assert 0 < common < both


def test_a_finished_circle_takes_a_typed_radius(bench: Callable[..., Bench]) -> None:
    one = bench().open(f"#{VIEW}&{SPAN}")
    one.tool("circle")
    one.drag((420, 320), (480, 320))
    one.areas(1)
    first = one.observed()
    field = one.page.locator(".size-bar input")
    link = one.page.url
    field.fill("4000")
    field.press("Enter")
    one.page.wait_for_function("before => location.href !== before", arg=link)
    wider = one.observed()
    assert wider > first
    assert one.asked()["area"]["circle"]["metres"] == 4000
    # each kind against last year, with its interval or none
    versus = one.page.locator("[data-versus]")
    expect(versus).to_have_count(9)
    told = [text for text in versus.all_inner_texts() if text != "—"]
    assert told
    assert all(re.fullmatch(r"[\d.,]+ [\d.]+–([\d.,]+|∞)", text) for text in told)
    over = one.page.evaluate(
        "() => { const t = document.querySelector('.kinds-table');"
        " return t.scrollWidth - t.parentElement.clientWidth }"
    )
    assert over <= 0
    # nonsense leaves it as it was
    field.fill("")
    field.press("Enter")
    expect(field).to_have_value("4000")


def test_hot_cells_are_found_and_a_scan_is_called_off(bench: Callable[..., Bench]) -> None:
    one = bench().open(f"#{VIEW}&{SPAN}&kinds=dispute")
    one.tool("rectangle")
    one.drag((180, 140), (640, 520))
    one.areas(1)
    number = one.start("gi")
    one.ended(number, "done")
    expect(one.card(number).get_by_test_id("found")).to_contain_text("热格")
    expect(one.card(number)).to_contain_text("Benjamini")
    expect(one.card(number)).to_contain_text("20260101")
    one.page.wait_for_function(
        "() => document.querySelector('.stage-map .map-box').map"
        ".queryRenderedFeatures({layers: ['under-found-line']}).length > 0"
    )
    # its link shows it again
    other = bench().open(one.page.url.split("/analyst")[1])
    expect(other.card(number).get_by_test_id("found")).to_contain_text("热格")
    long = one.start("scan", replicates="9999", step_days="1", max_share="0.5")
    one.card(long).locator("[data-act=end]").click()
    one.page.wait_for_function(
        "id => { const card = document.querySelector(`.job[data-id='${id}']`);"
        " return card === null || card.dataset.state === 'cancelled' }",
        arg=long,
    )
    answer = one.page.request.get(f"{one.watched.base}/api/jobs/{long}")
    assert answer.status == 404 or answer.json()["state"] == "cancelled"


def test_every_file_opens_again(
    bench: Callable[..., Bench], browser: Browser, tmp_path: Path
) -> None:
    one = bench().open(f"#a=x*u{HOT}&{SPAN}")
    n = one.observed()
    assert n > 100
    lines = one.save("csv", tmp_path).read_text(encoding="utf-8-sig").splitlines()
    head = next(at for at, line in enumerate(lines) if line.startswith("part,"))
    table = pd.read_csv(io.StringIO("\n".join(lines[head:])))
    assert {"observed", "expected", "colour"} <= set(table.columns)
    for form in ("gpkg", "geojson"):
        assert len(gpd.read_file(one.save(form, tmp_path))) > 0
    assert len(gpd.read_parquet(one.save("parquet", tmp_path))) > 0
    text = "".join(page.extract_text() for page in PdfReader(one.save("pdf", tmp_path)).pages)
    assert str(n) in text.replace(",", "").replace(" ", "")
    assert one.save("report.html", tmp_path).read_text(encoding="utf-8").startswith("<!doctype")
    picture = one.save("png", tmp_path).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20]) > 500  # as wide as the map
    page = one.save("html", tmp_path)
    one.page.keyboard.press("Escape")
    number = one.start("density")
    one.ended(number, "done")
    with one.page.expect_download() as loaded:
        one.card(number).get_by_role("link", name="GeoTIFF").click()
    raster = tmp_path / "density.tif"
    loaded.value.save_as(raster)
    with rasterio.open(raster) as surface:
        assert surface.count == 1
        assert surface.crs is not None
    # the page of maps works without any network
    context = browser.new_context(offline=True)
    offline = context.new_page()
    complaints: list[str] = []
    offline.on("pageerror", lambda error: complaints.append(str(error)))
    offline.goto(page.as_uri())
    expect(offline.locator(".leaflet-container")).to_be_visible()
    expect(offline.locator(".leaflet-interactive").first).to_be_attached()
    assert complaints == []
    context.close()


def test_two_spans_side_by_side(bench: Callable[..., Bench]) -> None:
    one = bench().open(f"#a=x*u{HOT}&{SPAN}&kinds=dispute.theft")
    one.answered()
    one.page.locator("[data-act=compare]").click()
    expect(one.page.locator(".compare tbody tr")).to_have_count(6)
    one.page.wait_for_function(
        """() => { const maps = [...document.querySelectorAll('.maps .map-box')].map(b => b.map);
        if (maps.length !== 2 || maps.some(m => !m || m.isMoving())) return false;
        const [a, b] = maps.map(m => m.getCenter());
        return Math.hypot(a.lng - b.lng, a.lat - b.lat) < 1e-6 }"""
    )
    expect(one.page.locator(".strip-map")).to_have_count(12)


LAYOUTS = [
    pytest.param(1440, 900, f"#a=x*u{HOT}&{SPAN}", id="desk"),
    pytest.param(1440, 900, f"#a=x*u{HOT}&{SPAN}&lang=en&theme=night&tab=patterns", id="night-en"),
    pytest.param(390, 844, f"#a=x*u{HOT}&{SPAN}&lang=en", id="phone-en"),
    pytest.param(3840, 2160, f"#a=x*u{HOT}&{SPAN}&tab=saved", id="large"),
]


@pytest.mark.parametrize(("width", "height", "fragment"), LAYOUTS)
def test_every_layout_is_readable_and_fits(
    bench: Callable[..., Bench], width: int, height: int, fragment: str
) -> None:
    one = bench(width, height, reduced_motion="reduce").open(fragment)
    expect(one.page.locator(".answer").first).to_be_attached()
    if "tab=" not in fragment:
        one.answered()
    over = one.page.evaluate(
        "() => [document.documentElement.scrollWidth - innerWidth, "
        "document.documentElement.scrollHeight - innerHeight]"
    )
    assert max(over) <= 0
    assert one.watched.violations() == []


def test_the_english_answer_fits_and_names_its_units(bench: Callable[..., Bench]) -> None:
    one = bench().open(f"#a=x*u{COUNTY}&{SPAN}&lang=en")
    one.answered()
    expect(one.page.locator("[data-testid=children] .name").first).to_be_visible()
    assert re.findall(r"[\u4e00-\u9fff]+", one.page.locator(".answer").inner_text()) == []
    over = one.page.evaluate(
        """() => { const body = document.querySelector('.answer-body').getBoundingClientRect();
        return [...document.querySelectorAll('.answer-body :is(table, svg)')]
          .filter(one => one.getBoundingClientRect().right > body.right + 0.5)
          .map(one => one.getAttribute('class')) }"""
    )
    assert over == []


def test_a_very_large_screen_enlarges_bars_and_what_opens_from_them(
    bench: Callable[..., Bench],
) -> None:
    one = bench(3840, 2160).open(f"#a=x*u{HOT}&{SPAN}")
    one.answered()
    bar = one.page.locator(".topbar").bounding_box()
    assert bar is not None
    assert bar["height"] == pytest.approx(52 * 1.6, abs=1)
    for button in ("[data-menu] >> nth=1", "[data-menu=save]", ".look > button"):
        one.page.locator(button).click()
        opened = one.page.locator(".menu-box, .look-box").bounding_box()
        at = one.page.locator(button).bounding_box()
        assert opened is not None
        assert at is not None
        # right under the button, and on the screen
        assert 0 <= opened["y"] - (at["y"] + at["height"]) < 20, button
        assert opened["x"] - 70 < at["x"] + at["width"] < opened["x"] + opened["width"] + 70, button
        assert opened["x"] + opened["width"] <= 3840
        one.page.keyboard.press("Escape")


def test_an_area_is_kept_with_its_purpose_and_notes(bench: Callable[..., Bench]) -> None:
    one = bench().open(f"#a=x*u{HOT}&{SPAN}")
    one.answered()
    one.page.locator("[data-menu=save]").click()
    form = one.page.locator(".save-form")
    form.get_by_label("名称").fill("良渚一带")
    form.get_by_label("用途").fill("纠纷走势周报")
    form.get_by_role("button", name="保存").click()
    card = one.page.locator(".card", has_text="纠纷走势周报")
    expect(card).to_be_visible()
    card.get_by_role("button", name="备注").click()
    card.get_by_label("写一条备注").fill("先看夜间")
    card.get_by_role("button", name="添加").click()
    expect(card.locator(".notes p")).to_contain_text("先看夜间")
    card.get_by_role("button", name="放到地图上").click()
    one.areas(2)
