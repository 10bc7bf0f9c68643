"""The doorkeeper: who is let in, and what a page, a header or a name of another site cannot do."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from starlette.websockets import WebSocketDisconnect

from app.main import create_app
from app.security.hosts import is_loopback, name_of, safe_next, same_site
from app.security.identity import ACTIONS, LOCAL, MAY, Identity, Role, can, inside, reduced
from app.settings import DatabaseSettings, Settings

from ..conftest import until
from .conftest import SITE, House, code_of

Opener = Callable[..., House]


# who is let in -----------------------------------------------------------------------------------
def test_every_documented_address_wants_to_know_who_asks(house: House) -> None:
    public = {
        ("get", "/api/session/ways"), ("post", "/api/session"), ("post", "/api/session/link"),
        ("get", "/api/oidc/{provider}/login"), ("get", "/api/oidc/{provider}/callback"),
        ("get", "/api/health/live"), ("get", "/api/health/ready"),
    }  # fmt: skip
    paths = house.app.openapi()["paths"]
    asked = 0
    for path, methods in paths.items():
        for method in methods:
            if (method, path) in public:
                continue
            address = re.sub(r"{\w+}", "1", path)
            answer = house.browser().request(method, address)
            assert (answer.status_code, code_of(answer)) == (401, "login_needed"), (method, path)
            asked += 1
    assert asked > 40
    for address in ("/api/nothing", "/tiles/x/1/1/1.mvt", "/api/openapi.json"):
        answer = house.browser().get(address)
        assert (answer.status_code, code_of(answer)) == (401, "login_needed")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "name",
    ["X-Identity", "X-Remote-User", "X-Forwarded-User", "Remote-User", "X-Wusetu-Identity",
     "X-Account", "Forwarded", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override"],
)  # fmt: skip
def test_no_header_makes_an_identity(house: House, name: str) -> None:
    house.account("admin", "admin")
    for value in ("admin", "1", "/login", "GET", "for=127.0.0.1"):
        assert house.browser().get("/api/manifest", headers={name: value}).status_code == 401


@pytest.mark.parametrize(
    "address",
    ["/login/../api/manifest", "/assets/../api/manifest", "/assets/%2e%2e/api/manifest",
     "//api/manifest", "/api/oidc/../manifest", "/api/oidc/%2e%2e/manifest", "/API/manifest",
     "/api/session/ways/../../manifest", "/login/%2e%2e/index.html", "/;/api/manifest",
     "/assets/%2e%2e/admin.html", "/assets/x/%2e%2e/%2e%2e/index.html", "/assets/%2e/%2e%2e/admin.html",
     "/assets/..%5cadmin.html"],
)  # fmt: skip
def test_no_detour_leads_past_the_door(house: House, address: str) -> None:
    # raw, as a program sends it: a browser would tidy it up
    answer = house.browser().get(f"{SITE}{address}")
    assert answer.status_code in {303, 401, 404}, answer.status_code
    assert "maps" not in answer.text


def test_pages_lead_to_the_form_and_back(house: House) -> None:
    answer = house.browser().get("/?wall=1&x=%2F%2Fevil.example")
    assert answer.status_code == 303
    place = urlsplit(answer.headers["location"])
    assert (place.scheme, place.netloc, place.path) == ("", "", "/login")
    assert parse_qs(place.query)["next"] == ["/?wall=1&x=%2F%2Fevil.example"]
    assert answer.headers["cache-control"] == "no-store"
    odd = house.browser().get(f"{SITE}//evil.example/%0d%0aX: y")
    assert odd.status_code == 303
    assert urlsplit(odd.headers["location"]).netloc == ""
    assert "x" not in odd.headers
    assert house.browser().get("/login").status_code in {200, 404}  # 404: not built


def test_answers_are_kept_apart_by_who_asks(house: House) -> None:
    browser = house.desk("desk")
    for address in ("/api/manifest", "/api/runs", "/"):
        assert "Cookie" in browser.get(address).headers["vary"]


def test_web_sockets_are_not_spoken(house: House) -> None:
    browser = house.desk("desk")
    with pytest.raises(WebSocketDisconnect) as found, browser.websocket_connect("/api/manifest"):
        pass
    assert found.value.code == 1008


# cross-site --------------------------------------------------------------------------------------
def test_an_unsafe_request_repeats_the_sessions_own_token(house: House) -> None:
    browser = house.desk("desk")
    token = browser.headers.pop("X-CSRF-Token")
    other = house.logged_in("desk").headers["X-CSRF-Token"]
    for wrong in (None, "", "x", other, token + "x", token[:-1], f"{token},{token}"):
        headers = {} if wrong is None else {"X-CSRF-Token": wrong}
        answer = browser.delete("/api/session", headers=headers)
        assert (answer.status_code, code_of(answer)) == (403, "csrf"), wrong
    assert browser.delete("/api/session", headers={"X-CSRF-Token": token}).status_code == 204


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "https://testserver.evil"},
        {"Origin": "https://testserver:8443"}, {"Origin": "https://user@testserver"},
        {"Origin": "https://testserver, https://testserver"}, {"Origin": "testserver"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
        {"Origin": SITE, "Sec-Fetch-Site": "cross-site"}, {"Origin": ""},
    ],
)  # fmt: skip
def test_pages_of_other_sites_do_nothing(house: House, headers: dict[str, str]) -> None:
    browser = house.desk("desk")
    answer = browser.delete("/api/session", headers=headers)
    assert (answer.status_code, code_of(answer)) == (403, "csrf")
    # nor do they log a visitor in with an account of theirs
    body = {"name": "desk", "password": "correct horse battery"}
    answer = house.browser().post("/api/session", json=body, headers=headers)
    assert (answer.status_code, code_of(answer)) == (403, "csrf")
    assert browser.get("/api/session").status_code == 200


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
def test_what_a_form_can_send_is_no_login(house: House, kind: str) -> None:
    house.account("desk")
    body = b'{"name": "desk", "password": "correct horse battery"}'
    answer = house.browser().post("/api/session", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers


def test_our_own_pages_and_programs_pass(house: House) -> None:
    for headers in ({}, {"Origin": SITE}, {"Origin": SITE, "Sec-Fetch-Site": "same-origin"}):
        browser = house.desk(f"desk{len(house.events())}")
        assert browser.delete("/api/session", headers=headers).status_code == 204


# host names and the single machine ---------------------------------------------------------------
def test_only_our_own_names_are_answered(open_house: Opener) -> None:
    house = open_house(public_url="https://map.example.cn:8443")
    house.account("desk")
    for good in ("map.example.cn:8443", "MAP.example.cn", "localhost:9", "127.0.0.1", "[::1]:8000"):
        assert house.browser().get("/api/manifest", headers={"Host": good}).status_code == 401
    for bad in ("evil.example", "map.example.cn.evil", "127.0.0.1.evil", "", "map.example.cn@evil",
                "evil.example:8443", "map.example.cn/..", "localhost:x"):  # fmt: skip
        answer = house.browser().get("/api/manifest", headers={"Host": bad})
        assert (answer.status_code, code_of(answer)) == (421, "wrong_host"), bad
    # the public address says that it is https, whatever a proxy passes on
    answer = TestClient(house.app, base_url="http://map.example.cn:8443").post(
        "/api/session",
        json={"name": "desk", "password": "correct horse battery"},
        headers={"Origin": "https://map.example.cn:8443"},
    )
    assert answer.status_code == 204
    assert all("Secure" in line for line in answer.headers.get_list("set-cookie"))


@pytest.fixture
def alone(db_url: str):
    settings = Settings(database=DatabaseSettings(url=db_url, pool_size=2))
    with TestClient(create_app(settings), base_url="http://localhost:8000") as one:
        yield one


def test_a_single_machine_asks_nobody(alone: TestClient) -> None:
    found = alone.get("/api/session").json()
    assert (found["access"], found["how"], found["name"], found["prefixes"]) == (
        "single", "single", "local", "all",
    )  # fmt: skip
    assert found["actions"] == list(ACTIONS)
    assert alone.get("/api/manifest").status_code == 200
    assert alone.get("/api/session/ways").json()["access"] == "single"
    # no accounts: nothing that would count once they are switched on
    body = {"name": "evil", "role": "admin", "prefixes": "all"}
    for answer in (
        alone.post("/api/accounts", json=body),
        alone.post("/api/session", json={"name": "a1", "password": "b"}),
        alone.post("/api/tokens", json={"title": "t", "scopes": ["see_map"], "days": 1}),
        alone.get("/api/accounts"),
    ):
        assert (answer.status_code, code_of(answer)) == (409, "conflict")


def test_a_rebound_name_or_a_foreign_page_reaches_nothing_on_a_single_machine(
    alone: TestClient,
) -> None:
    for host in ("evil.example", "localhost.evil.example", "10.0.0.7:8000"):
        answer = alone.get("/api/manifest", headers={"Host": host})
        assert (answer.status_code, code_of(answer)) == (421, "wrong_host")
    answer = alone.post("/api/areas", json={}, headers={"Origin": "http://evil.example"})
    assert (answer.status_code, code_of(answer)) == (403, "csrf")


@pytest.mark.parametrize(
    ("server", "client", "status"),
    [("127.0.0.1", "127.0.0.1", 200), ("10.0.0.7", "10.0.0.9", 403), ("127.0.0.1", "10.0.0.9", 403),
     ("::1", "::1", 200), ("::ffff:127.0.0.1", "::1", 200), ("2001:db8::1", "::1", 403)],
)  # fmt: skip
def test_a_single_machine_serves_only_itself_however_it_listens(
    alone: TestClient, server: str, client: str, status: int
) -> None:
    async def through(scope, receive, send):  # type: ignore[no-untyped-def]
        await alone.app({**scope, "server": (server, 8000), "client": (client, 5)}, receive, send)

    assert (
        TestClient(through, base_url="http://localhost").get("/api/manifest").status_code == status
    )


# memory and the database -------------------------------------------------------------------------
def test_a_known_session_asks_the_database_nothing(house: House) -> None:
    browser = house.desk("desk")
    assert browser.get("/mark.svg").status_code in {200, 404}
    assert browser.get("/api/nothing").status_code == 404
    asked: list[str] = []
    sa.event.listen(
        house.app.state.engine, "before_cursor_execute", lambda *args: asked.append(args[2])
    )
    for _ in range(5):
        assert browser.get("/api/nothing").status_code == 404
    asked = [one for one in asked if one != "select task_time()"]  # the clock of tasks, by itself
    assert asked == []


def test_a_revocation_elsewhere_counts_here_at_once(house: House, open_house: Opener) -> None:
    second = open_house()  # another process on the same database
    browser = house.desk("desk")
    there = second.browser(cookies=dict(browser.cookies))
    assert there.get("/api/session").status_code == 200
    assert browser.delete("/api/session").status_code == 204
    until(lambda: there.get("/api/session").status_code == 401)


def test_while_the_database_is_silent_known_sessions_read_for_a_while(house: House) -> None:
    browser = house.desk("desk")
    assert browser.get("/api/nothing").status_code == 404
    stranger = house.browser(cookies={"__Host-wusetu_session": "B" * 43})
    doors = house.app.state.doors
    doors.open(sa.create_engine("postgresql+psycopg2://nobody@/none?host=/nonexistent"))
    doors.known.renew(live=False)
    assert browser.get("/api/nothing").status_code == 404
    writing = browser.delete("/api/nothing")
    assert (writing.status_code, code_of(writing)) == (503, "unavailable")
    assert writing.headers["retry-after"] == "5"
    assert stranger.get("/api/nothing").status_code == 503
    doors.known.grace = -1.0
    assert browser.get("/api/nothing").status_code == 503
    doors.open(house.engine)
    assert browser.get("/api/nothing").status_code == 404


# pure parts --------------------------------------------------------------------------------------
def test_the_table_of_roles() -> None:
    assert set(MAY) == set(Role)
    assert set().union(*MAY.values()) == set(ACTIONS)
    assert [role for role in Role if can(role, "read_audit")] == [Role.auditor]
    assert [role for role in Role if can(role, "administer")] == [Role.admin]
    assert all(LOCAL.may(one) for one in ACTIONS)


def _identity(prefixes: tuple[str, ...] | None, **more: object) -> Identity:
    fields = {"account": 1, "name": "x", "role": Role.analyst, "zones": (), "scopes": None,
              "how": "session", **more}  # fmt: skip
    return Identity(prefixes=prefixes, **fields)  # type: ignore[arg-type]


def test_scope_keys_differ_exactly_with_what_is_seen() -> None:
    sights = [None, (), ("33",), ("3301",), ("3301", "3302"), ("33013302",), ("*",)]
    keys = [_identity(one).scope_key for one in sights]
    keys += [_identity(("33",), zones=(1,)).scope_key, _identity(("33",), zones=(1, 2)).scope_key]
    assert len(set(keys)) == len(keys)
    assert _identity(("33",), role=Role.viewer, account=7).scope_key == keys[2]
    assert not _identity(()).sees("3301")
    assert _identity(None).sees("3301")
    token = _identity(("33",), scopes=frozenset({"see_map", "administer"}))
    assert token.may("see_map")
    assert not token.may("export")
    assert not token.may("administer")  # never more than the role


CODES = st.lists(st.text("012", min_size=1, max_size=4), max_size=6)


@given(CODES, st.text("012", min_size=1, max_size=6))
def test_reducing_prefixes_changes_nothing_that_is_seen(prefixes: list[str], code: str) -> None:
    assert any(code.startswith(one) for one in reduced(prefixes)) == any(
        code.startswith(one) for one in prefixes
    )


@given(CODES, CODES)
def test_inside_means_nothing_more_is_seen(inner: list[str], outer: list[str]) -> None:
    every = [a + b + c + d for a in "012" for b in "012" for c in "012" for d in "012"]
    one, two = reduced(inner), reduced(outer)
    seen = {code for code in every if code.startswith(one)} if one else set()
    wide = {code for code in every if code.startswith(two)} if two else set()
    if inside(one, two):
        assert seen <= wide


@given(st.text(max_size=30))
def test_next_never_leaves_the_site(text: str) -> None:
    for wanted in (text, "/" + text, "//" + text, "/\\" + text, "/\t/" + text):
        found = safe_next(wanted)
        parts = urlsplit(found)
        assert found.startswith("/")
        assert not found.startswith(("//", "/\\"))
        assert (parts.scheme, parts.netloc) == ("", "")
        assert not any(ord(one) <= 32 or ord(one) == 127 for one in found)


def test_next_and_names_by_example() -> None:
    assert safe_next("/?wall#scope=3301") == "/?wall#scope=3301"
    for bad in (
        None,
        "",
        "login",
        "/login",
        "/login?next=/",
        "https://evil",
        "//evil",
        "/\\evil",
        "/" * 3000,
    ):
        assert safe_next(bad) == "/"
    assert [is_loopback(one) for one in ("localhost", "127.1.2.3", "::1", "::ffff:127.0.0.1")] == [
        True
    ] * 4
    assert not any(
        map(is_loopback, ("0.0.0.0", "10.0.0.1", "localhost.evil", "", "127.0.0.1.evil", "1"))
    )
    assert name_of("[::1]:80") == "::1"
    assert name_of("a b") is None
    assert same_site(None, None, None, "x")
    assert not same_site("https://x:1", None, "https://x", "x")
