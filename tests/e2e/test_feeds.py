"""The page of feeds: worst first, what the points look like, dead letters replayed, what to do without any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from e2e_map import HOT, PACK
from e2e_page import Watched
from playwright.sync_api import Page, expect

from app.database import make_engine, transaction
from app.feeds.base import Batch
from app.feeds.records import chunk_of
from app.services import feeds
from app.services.feed_take import Taker
from app.services.feeds import Feed
from app.settings import Settings
from geo import crs

Opener = Callable[..., Watched]
MAPPING = {
    "source": "x",
    "columns": {
        "reference": "ref", "kind": "kind", "time": "at", "lon": "lon", "lat": "lat", "code": "code",
    },
    "kinds": {"words": {"盗窃": "theft"}},
}  # fmt: skip


def forget(engine: sa.Engine) -> None:
    """No feed is left, nor its events: the map is shared."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "delete from event where source_id in (select s.id from event_source s join feed f "
            "on f.pack = s.pack and f.name = s.name)"
        )
        connection.exec_driver_sql("truncate feed cascade")


@pytest.fixture
def house(small_map: Settings) -> Iterator[sa.Engine]:
    assert small_map.database.url
    engine = make_engine(small_map.database.url)
    forget(engine)
    yield engine
    forget(engine)
    engine.dispose()


def arrive(
    taker: Taker, feed: Feed, key: str, rows: list[dict[str, object]], days_ago: float
) -> None:
    """Let a batch arrive some days ago."""
    chunk = chunk_of(rows, feed.mapping)
    done = taker.take(
        feed, Batch(key, f"{key}.csv, rows 2 to 9", chunk, feed.mapping.columns.point)
    )
    with taker.engine.begin() as connection:
        connection.execute(
            sa.text(
                "update feed_batch set arrived_at = clock_timestamp() - make_interval(secs => :s) "
                "where id = :id"
            ),
            {"s": days_ago * 86_400, "id": done.batch},
        )


@pytest.fixture
def three(house: sa.Engine, small_map: Settings) -> dict[str, Feed]:
    """One feed is fine, one sends GCJ-02, one has stopped with dead letters."""
    taker = Taker(house, Path(small_map.data_dir) / "locate")
    made = {}
    with transaction(house) as connection:
        for name, title, hours in (
            ("calls", "接警", 30),
            ("shops", "商户报送", 48),
            ("old", "旧系统", 2),
        ):
            made[name] = feeds.add(
                connection, pack=PACK, name=name, adapter="push", mapping=MAPPING, settings={},
                title=title, expected_s=hours * 3600,
            )  # fmt: skip
        connection.exec_driver_sql("update feed set mapped_at = now() - interval '90 days'")
        places = connection.execute(
            sa.text(
                "select code, st_x(label_point) as lon, st_y(label_point) as lat from unit "
                "where level = 'grid' and code ^@ :hot order by code limit 60"
            ),
            {"hot": HOT},
        ).all()

    def row(n: int, kind: str = "盗窃", shift: bool = False) -> dict[str, object]:
        one = places[n % len(places)]
        lon, lat = (
            crs.from_wgs84([one.lon], [one.lat], "gcj02") if shift else ([one.lon], [one.lat])
        )
        return {
            "ref": f"R{n}", "kind": kind, "at": "2025-12-01 10:00:00", "lon": float(lon[0]),
            "lat": float(lat[0]), "code": one.code,
        }  # fmt: skip

    for day in range(12):
        rows = [row(day * 40 + n) for n in range(20 + day * 3)]
        arrive(taker, made["calls"], f"day-{day}", rows, day + 0.2)
    arrive(taker, made["shops"], "shops", [row(n, shift=True) for n in range(60)], 0.5)
    rows = [row(n, "纠纷") for n in range(4)] + [row(9)]
    arrive(taker, made["old"], "old", rows, 3)
    return made


def rows_of(page: Page) -> list[str]:
    """States of the feeds in their order."""
    found = page.locator(".feed-row")
    return [one.get_attribute("data-state") or "" for one in found.all()]


def test_without_feeds_the_page_says_what_to_do(visit: Opener, house: sa.Engine) -> None:
    one = visit()
    one.page.goto(f"{one.base}/feeds")
    expect(one.page.get_by_role("heading", name="还没有数据源")).to_be_visible()
    expect(one.page.get_by_text("wusetu feeds add alarms folder --pack hangzhou")).to_be_visible()
    assert one.violations() == []


def test_what_has_stopped_comes_first_and_is_named(visit: Opener, three: dict[str, Feed]) -> None:
    one = visit()
    one.page.goto(f"{one.base}/feeds")
    expect(one.page.locator(".feed-row")).to_have_count(3)
    assert rows_of(one.page) == ["stopped", "fine", "fine"]
    expect(one.page.get_by_text("3 个数据源中有 2 个需要处理")).to_be_visible()
    expect(one.page.get_by_test_id("wrong")).to_contain_text("旧系统 已中断：3 天没有数据")
    expect(one.page.get_by_role("link", name="数据源")).to_have_attribute("aria-current", "page")
    assert one.violations() == []


def test_the_diagnosis_says_what_the_points_look_like(
    visit: Opener, three: dict[str, Feed]
) -> None:
    one = visit()
    one.page.goto(f"{one.base}/feeds#lang=en&feed={three['shops'].id}")
    found = one.page.get_by_test_id("diagnosis")
    expect(found).to_have_attribute("data-reading", "gcj02")
    expect(found).to_contain_text("It looks like GCJ-02")
    expect(found).to_contain_text("read so 0.0%")
    expect(found).to_contain_text("crs: gcj02")
    assert one.violations() == []


def test_dead_letters_are_read_again_after_the_mapping_was_mended(
    visit: Opener, house: sa.Engine, three: dict[str, Feed]
) -> None:
    one = visit()
    one.page.goto(f"{one.base}/feeds#feed={three['old'].id}")
    dead = one.page.get_by_test_id("dead")
    expect(dead.locator("li")).to_have_count(4)
    expect(dead.locator("li").first).to_contain_text("纠纷")
    expect(dead.locator("li").first).to_contain_text("ref=R3")
    one.page.get_by_role("button", name="重放死信").click()
    expect(dead.locator(".feed-done")).to_have_text("入库 0，已有更新 0，仍失败 4，未留存 0")
    mended = {**MAPPING, "kinds": {"words": {"盗窃": "theft", "纠纷": "dispute"}}}
    with transaction(house) as connection:
        feeds.mend(connection, three["old"], mended)
    one.page.get_by_role("button", name="重放死信").click()
    expect(dead.locator(".feed-done")).to_contain_text("入库 4")
    expect(dead.locator("li")).to_have_count(0)
    expect(dead).to_contain_text("每一行都已入库")


def test_on_a_phone_the_list_comes_first_and_one_goes_back(
    visit: Opener, three: dict[str, Feed]
) -> None:
    one = visit(390, 844)
    one.page.goto(f"{one.base}/feeds")
    expect(one.page.locator(".feed-row")).to_have_count(3)
    expect(one.page.locator(".feed")).to_have_count(0)
    assert one.violations() == []
    one.page.locator(".feed-row", has_text="接警").click()
    expect(one.page.get_by_role("heading", name="接警")).to_be_visible()
    expect(one.page.locator(".feed-list")).to_be_hidden()
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert one.violations() == []
    one.page.get_by_role("button", name="返回列表").click()
    expect(one.page.locator(".feed-row").first).to_be_visible()


def test_a_server_that_is_away_leaves_the_page_standing(
    visit: Opener, three: dict[str, Feed]
) -> None:
    one = visit()
    one.page.route(
        "**/api/feeds*",
        lambda route: route.fulfill(status=404, json={"code": "x", "message": "gone"}),
    )
    one.page.goto(f"{one.base}/feeds")
    expect(one.page.get_by_role("alert")).to_contain_text("数据源")
    with one.page.expect_response("**/api/feeds*"):
        one.page.get_by_role("button", name="重试").click()
    expect(one.page.get_by_role("alert")).to_contain_text("数据源")
    one.page.unroute("**/api/feeds*")
    # it also asks by itself, when anything of the server is heard to answer: the button may be gone
    one.page.evaluate("document.querySelector('[role=alert] button')?.click()")
    expect(one.page.locator(".feed-row")).to_have_count(3, timeout=60_000)
    one.complaints.clear()  # what the browser says of the 404 above
