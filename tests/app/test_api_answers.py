"""The API over HTTP: typed answers, caching, compression, files."""

from __future__ import annotations

import gzip
import io
import threading
from pathlib import Path

import geopandas
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.api import models
from app.api.pages import install as install_pages
from app.database import make_engine
from app.main import create_app
from app.services.assess import assess

from .conftest import HOT, KINDS, LEVELS, MEASURES, Assessed, Small, settings_for, until


def test_the_manifest_says_everything_the_map_needs(client: TestClient, assessed: Assessed) -> None:
    answer = client.get("/api/manifest")
    found = models.Manifest.model_validate(answer.json())
    (one,) = found.maps
    assert (one.pack, one.run, one.scene, one.boundary_version) == (
        "small",
        1,
        "nine-kinds",
        "2023",
    )
    assert one.approximate
    assert one.simulated
    assert one.bounds == pytest.approx((119, 29, 121, 30))
    assert [kind.id for kind in one.kinds] == ["overall", *KINDS]
    assert [measure.id for measure in one.measures] == MEASURES
    assert [level.id for level in one.levels] == LEVELS
    assert {period: len(every) for period, every in one.periods.items()} == {
        "month": 22, "quarter": 8, "year": 2,
    }  # fmt: skip
    assert one.rule.rows["green"] == {"p_max": 0.2, "theta_max": 0.8}
    assert 0.7 < one.grid_share < 0.9
    last = 1
    for level in one.levels:
        assert level.first_id == last
        last += level.count
        assert sum(n for _, _, n in level.counties) == level.count
    assert one.levels[4].counties == [("330101", 27, 32), ("330102", 59, 36)]
    assert one.levels[0].counties == [("3301", 1, 1)]


def test_the_manifest_changes_with_a_run_only(engine: sa.Engine, db_url: str, small: Small) -> None:
    with TestClient(create_app(settings_for(db_url))) as client:
        empty = client.get("/api/manifest")
        assert empty.json()["maps"] == []
        first = assess(engine, "small", finest="town", zone="Asia/Shanghai")
        answer = client.get("/api/manifest")
        assert answer.json()["maps"][0]["run"] == first
        etag = answer.headers["etag"]
        assert etag != empty.headers["etag"]
        assert answer.headers["cache-control"] == "private, no-cache"
        again = client.get("/api/manifest", headers={"If-None-Match": f'"other", {etag}'})
        assert (again.status_code, again.content) == (304, b"")
        assess(engine, "small", finest="town", zone="Asia/Shanghai")
        assert client.get("/api/manifest", headers={"If-None-Match": etag}).status_code == 200


def test_values_are_the_same_however_they_travel(client: TestClient, assessed: Assessed) -> None:
    address = f"/api/runs/{assessed.run}/values/grid/overall/month/3"
    plain = client.get(address, headers={"Accept-Encoding": "identity"})
    for _ in range(2):  # made, then kept
        squeezed = client.get(address, headers={"Accept-Encoding": "gzip"})
        assert squeezed.headers["Content-Encoding"] == "gzip"
        assert squeezed.headers["Vary"] == "Accept-Encoding"
        assert squeezed.content == plain.content
    assert "Content-Encoding" not in plain.headers


def test_a_pruned_run_is_gone(engine: sa.Engine, db_url: str, small: Small) -> None:
    run = assess(engine, "small", finest="town", zone="Asia/Shanghai")
    with TestClient(create_app(settings_for(db_url))) as client:
        address = f"/api/runs/{run}/values/town/fire/month/0"
        etag = client.get(address).headers["etag"]
        with engine.begin() as connection:
            connection.execute(sa.text("delete from run"))
        until(lambda: client.get(address).status_code == 404)
        assert client.get(address, headers={"If-None-Match": etag}).status_code == 404
        assert client.get(f"/api/runs/{run}").status_code == 404


def test_values_are_two_bytes_per_unit(client: TestClient, assessed: Assessed) -> None:
    address = f"/api/runs/{assessed.run}/values/grid/overall/month/21"
    answer = client.get(address)
    n = len(assessed.small.of_level("grid"))
    assert answer.headers["content-type"] == "application/octet-stream"
    assert len(answer.content) == 2 * n
    assert answer.headers["cache-control"].startswith("private")
    etag = answer.headers["etag"]
    assert client.get(address, headers={"If-None-Match": etag}).status_code == 304
    assert client.get(address, headers={"If-None-Match": 'W/"other"'}).status_code == 200


def test_large_answers_are_compressed(client: TestClient, assessed: Assessed) -> None:
    address = f"/api/runs/{assessed.run}/ranking?level=grid&limit=1000"
    with client.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in answer.headers["vary"].lower()
    body = gzip.decompress(raw)
    assert len(raw) < len(body) / 4
    models.Ranking.model_validate_json(body)


@pytest.mark.parametrize(
    ("address", "model"),
    [
        ("summary?level=town&kind=fire&period=quarter&ord=3", models.Summary),
        ("summary?level=grid&within=330102000", models.Summary),
        ("ranking?level=village&kind=theft&ord=5&within=330101&limit=2", models.Ranking),
        (f"units/{HOT}/why?kind=theft&ord=21", models.Why),
        (f"units/{HOT}{'0' * 12}/why", models.Why),
        (f"units/{HOT}/series?kind=theft&period=year", models.Series),
        ("", models.RunInfo),
    ],
)
def test_answers_are_typed(client: TestClient, address: str, model: type[models.Model]) -> None:
    answer = client.get(f"/api/runs/1/{address}".rstrip("/"))
    assert answer.status_code == 200
    model.model_validate(answer.json())


def test_units_and_search(client: TestClient) -> None:
    unit = client.get("/api/packs/small/units/330102000").json()
    assert models.UnitDetail.model_validate(unit).code == "330102"
    children = client.get("/api/packs/small/units/330102/children").json()
    assert children[0]["code"] == "330102001"
    hits = client.get("/api/packs/small/search", params={"q": "村00", "limit": 3}).json()["hits"]
    assert len(hits) == 3
    assert [run["id"] for run in client.get("/api/runs?pack=small").json()] == [1]
    assert client.get("/api/runs?pack=big").json() == []


def test_exports_are_files(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("/api/runs/1/export.csv?level=grid&kind=theft&ord=21")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == (
        'attachment; filename="wusetu-small-run1-grid-theft-month-2024-11-01.csv"'
    )
    assert answer.content.count(b"\r\n") == 22 + 1 + 68
    answer = client.get("/api/runs/1/export.gpkg?level=county")
    assert answer.headers["content-type"] == "application/geopackage+sqlite3"
    assert len(geopandas.read_file(io.BytesIO(answer.content))) == 2


def test_health_names_versions(client: TestClient) -> None:
    answer = client.get("/api/health")
    assert answer.status_code == 200
    found = models.Health.model_validate(answer.json())
    parts = {one.name: one for one in found.components}
    assert set(parts) == {
        "wusetu", "postgresql", "postgis", "schema", "archives", "run", "snapshots", "announcements",
    }  # fmt: skip
    assert parts["postgis"].version.startswith("3.")
    assert parts["run"].version == "1"
    assert answer.headers["cache-control"] == "no-store"


def test_health_misses_an_archive(
    engine: sa.Engine, db_url: str, small: Small, tmp_path: Path
) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "insert into tile_archive (boundary_version_id, level, digest, min_zoom, max_zoom, "
                "bounds, bytes, tiles) values (:v, 'city', 'abc', 4, 8, '{0,0,1,1}', 1, 1)"
            ),
            {"v": small.version},
        )
    with TestClient(create_app(settings_for(db_url, data_dir=tmp_path))) as client:
        answer = client.get("/api/health")
        assert answer.status_code == 503
        broken = [one for one in answer.json()["components"] if not one["ok"]]
        assert [one["name"] for one in broken] == ["archives"]
        (tmp_path / "archives").mkdir()
        (tmp_path / "archives" / "abc.pmtiles").write_bytes(b"x")
        assert client.get("/api/health").json()["ok"]


def test_requests_beside_each_other(client: TestClient) -> None:
    failed = []

    def ask() -> None:
        for n in range(6):
            if client.get(f"/api/runs/1/summary?level=grid&ord={n}").status_code != 200:
                failed.append(n)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == []


def test_the_web_never_writes(assessed: Assessed) -> None:
    from app.api.dependencies import Store
    from app.security.identity import LOCAL
    from app.services.caches import Caches

    engine = make_engine(assessed.url)
    store = Store(engine, LOCAL, Caches(), 1000)
    with pytest.raises(sa.exc.InternalError, match="read-only"), store.read() as connection:
        connection.execute(sa.text("delete from run"))
    engine.dispose()


# the front end ------------------------------------------------------------------------------------


def test_files_of_the_front_end(assessed: Assessed, tmp_path: Path) -> None:
    app = create_app(settings_for(assessed.url))
    app.router.routes.pop()
    install_pages(app, tmp_path / "dist")
    with TestClient(app) as client:
        page = client.get("/")
        assert "make up" in page.text
        assert page.headers["cache-control"] == "no-store"
        assert client.get("/other.html").status_code == 404
        for address in ("/", "/other.html"):
            refused = client.post(address)
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        assets = tmp_path / "dist" / "assets"
        assets.mkdir(parents=True)
        (tmp_path / "dist" / "index.html").write_text("<!doctype html>map")
        (assets / "index-abc123.js").write_text("1")
        page = client.get("/")
        assert page.text == "<!doctype html>map"
        assert page.headers["cache-control"] == "no-cache"
        script = client.get("/assets/index-abc123.js")
        assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert "javascript" in script.headers["content-type"]
        again = client.get("/", headers={"If-None-Match": page.headers["etag"]})
        assert again.status_code == 304
        assert client.get("/assets/../../secret").status_code == 404
        missing = client.get("/assets/gone.js")
        assert missing.json()["code"] == "not_found"
        assert missing.headers["cache-control"] == "no-store"
