"""The tutorial, followed word for word: at its end the map shows what the page says."""

from __future__ import annotations

from pathlib import Path

from conftest import Follow
from fastapi.testclient import TestClient
from pages import DOCS

from app.main import create_app
from app.settings import DatabaseSettings, Settings


def test_a_newcomer_gets_a_map_of_their_own_data(
    follow: Follow, db_url: str, tmp_path: Path
) -> None:
    follow(DOCS / "zh" / "tutorial.md")  # the English page has the same blocks: test_pages.py
    settings = Settings(data_dir=tmp_path / "data", database=DatabaseSettings(url=db_url))
    with TestClient(create_app(settings)) as client:
        (shown,) = client.get("/api/manifest").json()["maps"]
        assert shown["pack"] == "model"
        assert {one["id"]: one["count"] for one in shown["levels"]} == {"county": 1, "town": 4, "village": 24}  # fmt: skip
        newest = len(shown["periods"]["month"]) - 1
        asked = {"level": "village", "kind": "theft", "period": "month"}

        def red(ord_: int) -> set[str]:
            rows = client.get(
                f"/api/runs/{shown['run']}/ranking", params={**asked, "ord": ord_, "limit": 24}
            ).json()["rows"]
            return {one["unit"]["name"] for one in rows if one["colour"] == "red"}

        # as the page says: both at the end, one of them only since July 2025
        assert red(newest) == {"前南村", "下城村"}
        june = [one["start"][:7] for one in shown["periods"]["month"]].index("2025-06")
        assert "下城村" in red(june)
        assert "前南村" not in red(june)
        for level in shown["levels"]:
            assert level["tiles"]
