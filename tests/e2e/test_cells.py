"""Hexagonal cells in place of units: switch, colours, legend, one cell, link."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from e2e_desk import Desk
from e2e_map import COUNTY
from e2e_page import PATIENCE_MS
from playwright.sync_api import expect

#: The map has all its tiles, shows what was asked for as cells, and stands still.
SETTLED = """() => {
  const box = document.querySelector('.map-box');
  const map = box?.map;
  if (!map || !map.loaded() || map.isMoving()) return false;
  const scope = new URLSearchParams(location.hash.slice(1)).get('scope') ?? '';
  if (!box.dataset.painted?.startsWith('cells/') || box.dataset.scope !== scope) return false;
  if (box.dataset.painted !== box.dataset.asked) return false;
  const cells = map.queryRenderedFeatures().filter(one => one.layer.id.startsWith('cell-fill'));
  return cells.length > 0 && cells.every(one => one.state.c !== undefined);
}"""

#: Classes of the cells on the screen by feature id.
CELLS = """() => {
  const map = document.querySelector('.map-box').map;
  const found = {};
  for (const one of map.queryRenderedFeatures())
    if (one.layer.id.startsWith('cell-fill')) found[one.id] = {...one.properties, c: one.state.c, source: one.source};
  return found;
}"""


def settle(desk: Desk) -> None:
    desk.page.wait_for_function(SETTLED, timeout=PATIENCE_MS)


def test_cells_take_the_place_of_units(desk: Desk) -> None:
    # given the map of units
    desk.open("/#kind=dispute")
    manifest = desk.page.request.get(desk.watched.base + "/api/manifest").json()["maps"][0]
    assert [one["res"] for one in manifest["cells"]] == [6, 7, 8]
    # when cells are chosen
    desk.level("cells")
    desk.expect_state(cells="1")
    settle(desk)
    # then the legend counts the cells of the resolution of this zoom
    shown = desk.page.evaluate(CELLS)
    (res,) = {int(one["source"].removeprefix("cells-")) for one in shown.values()}
    info = next(one for one in manifest["cells"] if one["res"] == res)
    desk.expect_units(info["count"])
    # and the panel says that it counts units
    expect(desk.panel.locator(".cell-units")).to_have_text(
        re.compile("^图例数六边形；概况、时间轴和排名数的是.+。$")
    )
    # and every cell has the colour the server gave it
    base = f"{desk.watched.base}/api/runs/{manifest['run']}/cells/{res}"
    served = {}
    for chunk in desk.page.request.get(f"{base}/chunks").json():
        body = desk.page.request.get(f"{base}/values/dispute/month/23/{chunk['chunk']}").body()
        served |= {chunk["first_id"] + i: body[i] for i in range(chunk["count"])}
    assert {int(id_): one["c"] for id_, one in shown.items()} == {
        int(i): served[int(i)] for i in shown
    }
    # when the period is switched
    mark = len(desk.watched.requests)
    desk.page.keyboard.press("[")
    desk.expect_state(ord="22")
    settle(desk)
    # then no tile moves, and few bytes
    moved = [urlsplit(one.url).path for one in desk.watched.since(mark)]
    assert [path for path in moved if path.startswith("/tiles/")] == []
    values = [
        one for one in desk.watched.since(mark) if "/cells/" in one.url and "/values/" in one.url
    ]
    assert values
    assert sum(len(one.response().body()) for one in values) <= 30_000
    # when the reader comes closer, finer cells are shown; back with units, units
    desk.page.evaluate("() => document.querySelector('.map-box').map.jumpTo({zoom: 11})")
    desk.page.wait_for_function(
        "() => document.querySelector('.map-box').map.queryRenderedFeatures()"
        ".some(one => one.source === 'cells-8')",
        timeout=PATIENCE_MS,
    )
    settle(desk)
    desk.expect_units(next(one["count"] for one in manifest["cells"] if one["res"] == 8))
    desk.level("town")
    desk.expect_state(cells=None)
    desk.settle()
    desk.expect_units(15)
    expect(desk.panel.locator(".cell-units")).to_have_count(0)


def test_a_cell_is_asked_why(desk: Desk) -> None:
    # given cells of one district, from a link
    desk.page.goto(f"{desk.watched.base}/#cells=1&scope={COUNTY}")
    settle(desk)
    # (a filter reaches the tiles in its own time)
    desk.page.wait_for_function(
        """scope => { const map = document.querySelector('.map-box').map;
        const cells = map.queryRenderedFeatures().filter(one => one.layer.id.startsWith('cell-fill'));
        return cells.length > 0 && cells.every(one => one.properties.code.startsWith(scope)) }""",
        arg=COUNTY,
        timeout=PATIENCE_MS,
    )
    settle(desk)
    # when one is clicked
    box = desk.page.locator(".map-box").bounding_box()
    assert box
    desk.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    # then the panel tells the same numbers as the server, and the link carries the cell
    desk.page.wait_for_function(
        "() => new URLSearchParams(location.hash.slice(1)).has('cell')", timeout=PATIENCE_MS
    )
    cell = desk.state()["cell"]
    panel = desk.page.get_by_test_id("cell-panel")
    expect(panel.locator(".code")).to_have_text(cell)
    ord_ = 23
    why = desk.page.request.get(
        f"{desk.watched.base}/api/runs/1/cells/{cell}/why?kind=overall&period=month&ord={ord_}"
    ).json()["why"]
    expect(panel.get_by_test_id("theta")).to_have_text(f"{why['estimate']['theta']:.2f}")
    expect(panel.locator(".memory")).to_contain_text(re.compile(r"\d"))
    desk.page.wait_for_function(
        """cell => { const map = document.querySelector('.map-box').map;
        return map.queryRenderedFeatures().some(
          one => one.sourceLayer === 'cells' && one.properties.cell === cell && one.state.sel === true) }""",
        arg=cell,
        timeout=PATIENCE_MS,
    )
    assert desk.watched.violations() == []
