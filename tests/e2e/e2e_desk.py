"""The command view in the words of its users: scopes, kinds, colours, reasons."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from e2e_page import PATIENCE_MS, Watched
from playwright.sync_api import Locator, expect

#: Finds a unit of the shown level by its code and answers its place and class on the map.
UNIT = """code => {
  const map = document.querySelector('.map-box').map;
  const found = {};
  for (const source of Object.keys(map.getStyle().sources)) {
    if (!source.startsWith('level-')) continue;
    for (const one of map.querySourceFeatures(source, {sourceLayer: 'labels'})) {
      if (one.properties.code !== code) continue;
      const [x, y] = one.geometry.coordinates;
      const at = map.project([x, y]);
      const state = map.getFeatureState({source, sourceLayer: 'units', id: one.id});
      return {x: at.x, y: at.y, colour: state.c ?? null, selected: state.sel === true};
    }
  }
  return null;
}"""

#: The map has all its tiles, shows the scope of the link in the colours asked for, and stands still.
SETTLED = """() => {
  const box = document.querySelector('.map-box');
  const map = box?.map;
  if (!map || !map.loaded() || map.isMoving()) return false;
  const scope = new URLSearchParams(location.hash.slice(1)).get('scope') ?? '';
  if (box.dataset.painted !== box.dataset.asked || box.dataset.scope !== scope) return false;
  const fills = map.queryRenderedFeatures({layers: ['fill']});
  return fills.length > 0 && fills.every(one => one.state.c !== undefined);
}"""


class Desk:
    """Driver of the command view; it waits where a person would."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.page = watched.page

    def open(self, address: str = "/") -> Desk:
        self.page.goto(self.watched.base + address)
        self.settle()
        return self

    def settle(self) -> None:
        """Wait until the map has come to rest."""
        self.page.wait_for_function(SETTLED, timeout=PATIENCE_MS)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds that the page itself does not know, such as what was asked."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not condition():
            assert time.monotonic() < deadline, "it did not come to that"
            self.page.wait_for_timeout(20)

    def state(self) -> dict[str, str]:
        """What the link says."""
        fragment = self.page.evaluate("() => location.hash.slice(1)")
        return {k: v[0] for k, v in parse_qs(fragment).items()}

    def expect_state(self, **wanted: str | None) -> None:
        for key, value in wanted.items():
            self.page.wait_for_function(
                "([key, value]) => new URLSearchParams(location.hash.slice(1)).get(key) === value",
                arg=[key, value],
                timeout=PATIENCE_MS,
            )

    def unit(self, code: str) -> dict[str, Any]:
        found: dict[str, Any] | None = self.page.evaluate(UNIT, code)
        assert found is not None, f"{code} is not on the map"
        return found

    def expect_unit(self, code: str, **wanted: object) -> None:
        """Wait until the unit is on the map as `wanted`: the state of a feature is set later."""
        self.page.wait_for_function(
            f"([code, wanted]) => {{ const found = ({UNIT})(code);"
            " return found !== null"
            " && Object.entries(wanted).every(([key, value]) => found[key] === value) }",
            arg=[code, wanted],
            timeout=PATIENCE_MS,
        )

    def click_unit(self, code: str, times: int = 1) -> None:
        place = self.unit(code)
        self.page.locator(".map-box").first.click(
            position={"x": place["x"], "y": place["y"] + 14}, click_count=times
        )

    def kind(self, kind: str) -> None:
        self.page.locator(f"[data-kind={kind}]").click()

    def level(self, level: str) -> None:
        self.page.locator(f"[data-level={level}]").click()

    def legend(self) -> dict[str, int]:
        """Counts of the legend; the whole legend, also at 0."""
        rows = self.page.locator(".legend li")
        expect(rows.locator(".n").first).not_to_have_text("—")
        return {
            row.get_attribute("data-class") or "": int(
                row.locator(".n").inner_text().replace(",", "")
            )
            for row in rows.all()
        }

    def expect_units(self, total: int) -> None:
        """Wait until the legend counts `total` units: its answer comes apart from the map's."""
        self.page.wait_for_function(
            """total => [...document.querySelectorAll('.legend li .n')]
              .reduce((sum, one) => sum + Number(one.textContent.replaceAll(',', '')), 0) === total""",
            arg=total,
            timeout=PATIENCE_MS,
        )

    def expect_fills(self, condition: str, arg: object = None) -> None:
        """Wait until `condition` (JavaScript of `fills`, rendered, and `arg`) holds."""
        self.page.wait_for_function(
            "arg => { const map = document.querySelector('.map-box').map;"
            " const fills = map.queryRenderedFeatures({layers: ['fill']});"
            f" return fills.length > 0 && ({condition}) }}",
            arg=arg,
            timeout=PATIENCE_MS,
        )

    @property
    def panel(self) -> Locator:
        return self.page.locator(".panel")

    def title(self) -> Locator:
        return self.panel.locator("h2").first

    def theta(self) -> float:
        expect(self.panel.get_by_test_id("theta")).to_have_text(re.compile(r"\d"))
        return float(self.panel.get_by_test_id("theta").inner_text())

    def waterfall(self) -> list[float]:
        """The printed numbers of the waterfall, from 1.00 to the relative risk."""
        expect(self.panel.locator(".waterfall .value").first).to_be_visible()
        texts = self.panel.locator(".waterfall .value").all_text_contents()
        return [float(text.replace("−", "-").replace("+", "")) for text in texts]

    def search(self, text: str) -> Locator:
        """Type into the search box by keyboard alone; answers the list of hits."""
        self.page.keyboard.press("/")
        self.page.keyboard.type(text)
        return self.page.locator(".search-list").get_by_role("option")
