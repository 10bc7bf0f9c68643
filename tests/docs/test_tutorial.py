"""The tutorial and the how-tos, followed word for word on a real database."""

from __future__ import annotations

import pytest
from docs_desk import Desk
from docs_pages import DOCS
from e2e_server import served
from fastapi.testclient import TestClient

from app.main import create_app

PAGES = ["howto/command", "howto/analyst", "howto/border", "howto/grid", "howto/admin", "howto/operator", "operate"]  # fmt: skip


def test_a_newcomer_gets_a_map_of_their_own_data(desk: Desk) -> None:
    with TestClient(create_app(desk.settings)) as client:
        (shown,) = client.get("/api/manifest").json()["maps"]
        assert shown["pack"] == "model"
        levels = {one["id"]: one["count"] for one in shown["levels"]}
        assert levels == {"county": 1, "town": 4, "village": 24}
        assert all(one["tiles"] for one in shown["levels"])
        months = [one["start"][:7] for one in shown["periods"]["month"]]
        asked = {"level": "village", "kind": "theft", "period": "month", "limit": 24}

        def red(month: str) -> set[str]:
            where = f"/api/runs/{shown['run']}/ranking"
            rows = client.get(where, params={**asked, "ord": months.index(month)}).json()["rows"]
            return {one["unit"]["name"] for one in rows if one["colour"] == "red"}

        # as the page says: both at the end, one of them only since July 2025
        assert red(months[-1]) == {"前南村", "下城村"}
        assert "下城村" in red("2025-06")
        assert "前南村" not in red("2025-06")


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work(page: str, desk: Desk, fresh_url: str) -> None:
    file = DOCS / "zh" / f"{page}.md"
    if "server" not in file.read_text(encoding="utf-8"):
        desk.follow(file, fresh=fresh_url)
        return
    with served(desk.settings) as base:
        desk.follow(file, base=base, fresh=fresh_url)
