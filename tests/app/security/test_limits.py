"""What one request, one account and one worker may take, and how a refusal looks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.errors import TooMany, Unavailable
from app.main import create_app
from app.security.limits import Buckets, Gone, Refusal, Turns, _check_head, _whole_body
from app.settings import AccountSettings, DatabaseSettings, LimitSettings, Settings

from .conftest import SITE, House, code_of

COUNT = "/api/packs/small/areas/count"


@contextmanager
def served(
    url: str, *, access: str = "single", public: str | None = None, **more: Any
) -> Iterator[TestClient]:
    """The application with limits of one's own."""
    settings = Settings(
        access=access,  # type: ignore[arg-type]
        database=DatabaseSettings(url=url, pool_size=3),
        accounts=AccountSettings(public_url=public),
        limits=LimitSettings(**more),
    )
    with TestClient(create_app(settings), follow_redirects=False) as client:
        yield client


# kernels -----------------------------------------------------------------------------------------
@given(
    st.floats(0.5, 50), st.integers(1, 20),
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.0, 0.01, 1.0, 5.0])), max_size=60),
)  # fmt: skip
def test_a_bucket_gives_no_more_than_its_rate(
    rate: float, burst: int, steps: list[tuple[str, float]]
) -> None:
    now = 100.0
    buckets = Buckets(rate, burst, clock=lambda: now)
    got: dict[str, list[float]] = {"a": [], "b": []}
    for key, pause in steps:
        now += pause
        if wait := buckets.take(key):
            assert 0 < wait <= 1 / rate + 1e-9
            now += wait + 1e-9  # whoever waits as long as told gets one
            assert buckets.take(key) == 0
        got[key].append(now)
    for times in got.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                span = times[last] - times[first]
                assert last - first + 1 <= burst + rate * span + 1e-6


def test_no_rate_is_no_limit_and_buckets_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(Buckets(0, 1).take("a") for _ in range(1000))
    monkeypatch.setattr("app.security.limits.ACCOUNTS", 3)
    buckets = Buckets(1e-9, 1)
    for key in "abcd":
        assert buckets.take(key) == 0
    assert buckets.take("d") > 0
    assert buckets.take("a") == 0  # forgotten: full again


def test_turns_are_few_in_order_and_fair() -> None:
    async def play() -> None:
        turns = Turns(jobs=2, per_account=1, waiting=3, patience=60)
        order: list[str] = []
        leave: dict[str, asyncio.Event] = {}

        async def work(name: str) -> None:
            leave[name] = asyncio.Event()
            async with turns.turn(name[0]):
                order.append(name)
                await leave[name].wait()

        async def begin(name: str) -> asyncio.Task[None]:
            task = asyncio.create_task(work(name))
            await settle()
            return task

        async def settle() -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        tasks = [await begin(name) for name in ("a1", "a2", "b1", "c1")]
        assert order == ["a1", "b1"]  # a2 waits for a1, and b1 does not wait for a2
        tasks.append(await begin("d1"))
        with pytest.raises(TooMany):  # the queue is full, and it is the account's own doing
            async with turns.turn("a"):
                raise AssertionError
        with pytest.raises(Unavailable) as busy:
            async with turns.turn("e"):
                raise AssertionError
        assert busy.value.retry_after
        tasks[3].cancel()  # c1 goes away while it waits
        leave["b1"].set()
        await settle()
        assert order == ["a1", "b1", "d1"]
        leave["a1"].set()
        await settle()
        assert order[-1] == "a2"
        for event in leave.values():
            event.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (turns.running.total(), len(turns.queue)) == (0, 0)

    asyncio.run(play())


def test_a_turn_is_not_waited_for_for_ever() -> None:
    async def play() -> None:
        turns = Turns(jobs=1, per_account=1, waiting=9, patience=0.01)
        async with turns.turn("a"):
            with pytest.raises(TooMany):
                async with turns.turn("a"):
                    raise AssertionError
            with pytest.raises(Unavailable):
                async with turns.turn("b"):
                    raise AssertionError
        async with turns.turn("b"):
            assert turns.running.total() == 1

    asyncio.run(play())


def test_a_body_that_never_comes_is_not_waited_for() -> None:
    async def play() -> None:
        limits = LimitSettings(body_seconds=0.01)
        scope = {"type": "http", "path": "/api/session"}

        async def silent() -> dict[str, Any]:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

        with pytest.raises(Refusal) as refusal:
            await _whole_body(scope, silent, limits)
        assert refusal.value.status == 408

        async def gone() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        with pytest.raises(Gone):
            await _whole_body(scope, gone, LimitSettings())

    asyncio.run(play())


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    def head(size: bytes) -> bool:
        scope = {
            "type": "http", "path": "/api/session", "query_string": b"",
            "headers": [(b"content-length", size)],
        }  # fmt: skip
        return _check_head(scope, LimitSettings(body_bytes=2_000))

    assert head(b"2000")
    for size in (b"2001", b"9" * 15, b"9" * 99, b"-1"):
        with pytest.raises(Refusal) as refusal:
            head(size)
        assert refusal.value.status == 413


# over HTTP ---------------------------------------------------------------------------------------
def test_bodies_headers_and_addresses_have_an_end(db_url: str) -> None:
    with served(
        db_url, body_bytes=2_000, area_bytes=4_000, header_bytes=2_000, target_bytes=600
    ) as one:

        def pieces(size: int) -> Iterator[bytes]:
            for _ in range(size // 100):
                yield b" " * 100

        json = {"content-type": "application/json"}
        cases = [
            ("POST", "/api/session", {"content": b" " * 2_001}, 413, "too_large"),
            ("POST", "/api/session", {"content": pieces(2_100)}, 413, "too_large"),
            ("POST", "/api/nothing", {"content": b" " * 2_001}, 413, "too_large"),
            ("PATCH", "/api/accounts/1", {"content": b" " * 2_001}, 413, "too_large"),
            ("GET", "/api/manifest", {"content": b" " * 2_001}, 413, "too_large"),
            ("POST", COUNT, {"content": b" " * 2_001}, 422, "invalid"),
            ("POST", COUNT, {"content": pieces(4_000)}, 422, "invalid"),
            ("POST", COUNT, {"content": pieces(4_100)}, 413, "too_large"),
            ("POST", COUNT, {"content": b"", "headers": {"content-length": "1_0"}}, 413, "too_large"),
            ("GET", "/api/manifest", {"headers": {"x-much": "x" * 2_000}}, 431, "headers_too_large"),
            ("GET", "/api/manifest?" + "x" * 600, {}, 414, "address_too_long"),
        ]  # fmt: skip
        for method, address, given_, status, code in cases:
            headers = {**json, **given_.pop("headers", {})}
            answer = one.request(method, address, headers=headers, **given_)
            assert (answer.status_code, code_of(answer)) == (status, code), (method, address)
            assert answer.headers["x-request-id"] == answer.json()["request_id"]
            assert answer.headers["cache-control"] == "no-store"
            if status != 422:
                assert answer.headers["connection"] == "close"


def test_an_account_has_a_budget_and_a_heavier_one(house: House, db_url: str) -> None:
    first = house.desk("first", "analyst")
    second = house.desk("second", "analyst")
    cookies = [dict(one.cookies) for one in (first, second)]
    with served(
        db_url, access="accounts", rate=1e-6, burst=6, heavy_rate=1e-6, heavy_burst=2
    ) as one:

        def ask(who: int, method: str, address: str, **more: Any) -> Any:
            headers = {
                "Cookie": "; ".join(f"{name}={value}" for name, value in cookies[who].items()),
                "X-CSRF-Token": cookies[who]["__Host-wusetu_csrf"],
            }
            return one.request(method, SITE + address, headers=headers, **more)

        area = {"area": {"unit": "1"}, "start": "2024-01-01", "end": "2024-02-01"}
        answers = [ask(0, "POST", COUNT, json=area) for _ in range(3)]
        assert [one.status_code for one in answers] == [404, 404, 429]
        assert "areas and exports" in answers[2].json()["message"]
        assert int(answers[2].headers["retry-after"]) > 0
        answers = [ask(0, "GET", "/api/runs") for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429]
        assert code_of(answers[3]) == "too_many"
        assert int(answers[3].headers["retry-after"]) > 0
        assert ask(1, "GET", "/api/runs").status_code == 200  # the other one has its own
        assert one.get(SITE + "/api/session/ways").status_code == 200  # and so has everybody
    with served(db_url, rate=1e-6, burst=1, heavy_rate=1e-6, heavy_burst=1) as one:
        for _ in range(3):  # whoever sits at the machine itself is not counted
            assert one.get("/api/runs").status_code == 200
            assert one.post(COUNT, json=area).status_code == 404


@pytest.mark.parametrize(
    "address",
    ["/api/runs/{}", "/api/runs/1/summary?level=grid&ord={}", "/api/packs/small/search?q=a&limit={}",
     "/api/runs/1/values/grid/overall/month/{}", "/api/audit?account={}", "/api/audit?before={}",
     "/tiles/coloured/1/grid/overall/month/1/1/{}/1.mvt", "/api/runs/1/cells/{}/chunks"],
)  # fmt: skip
def test_a_number_is_written_one_way(client: TestClient, address: str) -> None:
    for odd in ("1_0", "+1", "1.0", "01", "%201", "1%20", "1e1", "０", "٣", "-0x1", "1%0A"):
        answer = client.get(address.format(odd))
        assert (answer.status_code, code_of(answer)) == (422, "invalid"), odd


def test_no_other_site_gets_anything(house: House, db_url: str) -> None:
    asking = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, authorization",
    }
    with served(db_url) as single:
        for one in (single, house.desk("desk", "analyst")):
            for address in ("/api/runs", COUNT, "/api/session", "/", "/api/audit"):
                for method in ("OPTIONS", "GET"):
                    answer = one.request(method, address, headers=asking)
                    allowed = [name for name in answer.headers if name.startswith("access-control")]
                    assert allowed == [], (method, address)
                    assert method == "GET" or answer.status_code in {401, 405}
            assert one.post(COUNT, json={}, headers=asking).status_code == 403


def test_headers_of_every_answer(db_url: str) -> None:
    with served(db_url, access="accounts", public="https://map.example") as one:
        for address in ("/login", "/api/runs", "/nowhere"):
            headers = one.get("https://map.example" + address).headers
            policy = headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert "script-src 'self';" in policy  # no inline script, no eval
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert headers["strict-transport-security"].startswith("max-age=")
    with served(db_url) as one:
        assert "strict-transport-security" not in one.get("/api/runs").headers
        answer = one.get("/api/runs", headers={"Host": "evil.example"})
        assert (answer.status_code, code_of(answer)) == (421, "wrong_host")


def test_every_documented_route_documents_its_refusals(db_url: str) -> None:
    with served(db_url) as one:
        paths = one.get("/api/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            if path.startswith("/api/health") or "/metrics" in path:
                continue
            said = operation["responses"]
            assert {"401", "403", "413", "429"} <= said.keys(), (method, path)
            for status in ("429", "503"):
                if status in said:
                    assert "Retry-After" in said[status]["headers"], (method, path, status)


def test_what_was_asked_is_not_in_the_log(db_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not even when the database itself complains about the values it was given."""
    from app.database import make_engine

    engine = make_engine(db_url)
    with caplog.at_level(logging.DEBUG), engine.connect() as connection:
        import sqlalchemy as sa

        with pytest.raises(sa.exc.DBAPIError) as broken:
            connection.execute(sa.text("select 1 / (:lon - :lon)"), {"lon": 120.123456})
    engine.dispose()
    assert "120.123456" not in str(broken.value) + caplog.text
