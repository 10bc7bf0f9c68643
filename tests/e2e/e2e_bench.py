"""The analyst's page in the words of its users: areas, numbers, jobs, files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from e2e_page import PATIENCE_MS, Watched
from playwright.sync_api import expect

#: The map stands still in the colours asked for.
SETTLED = """() => {
  const box = document.querySelector('.stage-map .map-box');
  const map = box?.map;
  return !!map && map.loaded() && !map.isMoving() && box.dataset.painted === box.dataset.asked;
}"""

#: The answer is that of the shape as it rests.
ANSWERED = "() => document.querySelector('.answer')?.getAttribute('aria-busy') === 'false'"

BRUTE = """
select count(*) from event
where st_covers(st_setsrid(st_geomfromgeojson(:shape), 4326), geom)
  and occurred_at >= (cast(:start as date)::timestamp at time zone 'Asia/Shanghai')
  and occurred_at < (cast(:end as date)::timestamp at time zone 'Asia/Shanghai')
"""


class Bench:
    """Driver of the analyst's page; it waits where a person would."""

    def __init__(self, watched: Watched, engine: sa.Engine) -> None:
        self.watched = watched
        self.page = watched.page
        self.engine = engine

    def open(self, fragment: str = "") -> Bench:
        self.page.goto(f"{self.watched.base}/analyst{fragment}")
        self.page.wait_for_function(SETTLED, timeout=PATIENCE_MS)
        return self

    def tool(self, name: str) -> None:
        self.page.locator(f"[data-tool={name}]").click()

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Place on the screen of a place on the map's canvas."""
        box = self.page.locator(".stage-map .map-box").bounding_box()
        assert box is not None
        return box["x"] + x, box["y"] + y

    def click(self, x: float, y: float) -> None:
        left, top = self.at(x, y)
        self.page.mouse.move(left - 4, top - 4)
        self.page.mouse.move(left, top)
        self.page.mouse.down()
        self.page.mouse.up()

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        for step in range(1, 9):
            self.page.mouse.move(
                *self.at(
                    start[0] + (end[0] - start[0]) * step / 8,
                    start[1] + (end[1] - start[1]) * step / 8,
                )
            )
        self.page.mouse.up()

    def areas(self, n: int) -> None:
        """Wait until so many areas are in the link."""
        self.page.wait_for_function(
            "n => new URLSearchParams(location.hash.slice(1)).getAll('a').length === n",
            arg=n,
            timeout=PATIENCE_MS,
        )

    def answered(self) -> None:
        self.page.wait_for_function(ANSWERED, timeout=PATIENCE_MS)

    def observed(self) -> int:
        """The number the answer prints."""
        self.answered()
        text = self.page.get_by_test_id("observed").inner_text()
        return int(text.replace(",", ""))

    def asked(self) -> dict[str, Any]:
        """The newest full question of this page."""
        for request in reversed(self.watched.requests):
            if request.url.endswith("/areas/analyse") and request.post_data:
                question: dict[str, Any] = json.loads(request.post_data)
                if "children" in question["parts"]:
                    return question
        raise AssertionError("nothing was asked in full")

    def brute(self) -> int:
        """Count the same by brute force."""
        question = self.asked()
        with self.engine.connect() as connection:
            found: int = connection.execute(
                sa.text(BRUTE),
                {
                    "shape": json.dumps(question["area"]["geojson"]),
                    "start": question["start"],
                    "end": question["end"],
                },
            ).scalar_one()
        return found

    def start(self, job: str, **fields: str) -> str:
        """Start a job of a type; answers its number."""
        self.page.locator("[data-tab=patterns]").click()
        self.page.locator(f"[data-job={job}]").click()
        for name, value in fields.items():
            self.page.locator(f".job-form [name={name}]").fill(value)
        with self.page.expect_response(
            lambda answer: answer.url.endswith("/api/jobs") and answer.request.method == "POST"
        ) as sent:
            self.page.locator("[data-act=start-job]").click()
        assert sent.value.status == 202, sent.value.text()
        number = str(sent.value.json()["id"])
        expect(self.card(number)).to_be_visible()
        return number

    def card(self, number: str) -> Any:
        return self.page.locator(f".job[data-id='{number}']")

    def ended(self, number: str, state: str) -> None:
        expect(self.card(number)).to_have_attribute(
            "data-state", re.compile("done|failed|cancelled")
        )
        expect(self.card(number)).to_have_attribute("data-state", state)

    def save(self, form: str, folder: Path) -> Path:
        """Export through the menu; answers the file."""
        button = self.page.locator(f".exports [data-format='{form}']")
        if not button.is_visible():
            self.page.locator("[data-menu=export]").click()
        expect(button).to_be_enabled()
        with self.page.expect_download(timeout=PATIENCE_MS) as loaded:
            button.click()
        path = folder / loaded.value.suggested_filename
        loaded.value.save_as(path)
        return path
