"""Logging in at a real OpenID Connect provider, which runs as a process of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml
from fastapi.testclient import TestClient

from app.security.oidc import WELL_KNOWN

from ..conftest import until
from .conftest import House

Opener = Callable[..., House]

USERS = {
    "u-command": ["everyone", "hz-command"],
    "u-admin": ["hz-command", "wusetu-admins"],
    "u-nobody": ["everyone"],
    "u-none": None,
}


def _free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """Address of the provider."""
    port = _free_port()
    users: list[str] = []
    for name, groups in USERS.items():
        claims: dict[str, Any] = {"sub": name, "email": f"{name}@person.example", "name": "某人"}
        if groups is not None:
            claims["groups"] = groups
        users += ["--user-claims", json.dumps(claims)]
    process = subprocess.Popen(
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true",
         *users],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    site = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 180
    with httpx.Client(trust_env=False) as client:
        while True:
            assert process.poll() is None, "the provider does not start"
            assert time.monotonic() < end, "the provider does not start in time"
            try:
                client.get(site + WELL_KNOWN)
                break
            except httpx.TransportError:
                time.sleep(0.05)
    yield site
    process.terminate()
    process.wait(60)


def _file(folder: Path, site: str, **more: Any) -> Path:
    one = {
        "id": "city",
        "title": {"zh": "市局统一认证", "en": "City identity"},
        "discovery": site + WELL_KNOWN,
        "client_id": "wusetu",
        "client_secret_file": str(folder / "secret"),
        "scopes": ["openid", "profile"],
        "rules": [
            {"group": "wusetu-admins", "role": "admin", "prefixes": "all"},
            {"group": "hz-command", "role": "dispatcher", "prefixes": ["3301"], "zones": [4],
             "title": "杭州指挥台"},
        ],
        **more,
    }  # fmt: skip
    (folder / "secret").write_text("s3cret\n")
    file = folder / "oidc.yaml"
    file.write_text(yaml.safe_dump({"providers": [one]}, allow_unicode=True), encoding="utf-8")
    return file


@pytest.fixture
def house_with(open_house: Opener, provider: str, tmp_path: Path) -> House:
    return open_house(oidc_file=_file(tmp_path, provider))


def begin(browser: TestClient, wanted: str = "/") -> str:
    """Where the application sends a browser."""
    answer = browser.get("/api/oidc/city/login", params={"next": wanted})
    assert answer.status_code == 303
    return str(answer.headers["location"])


def authorise(address: str, user: str, **form: str) -> str:
    """What the provider answers a person who logs in: the way back."""
    with httpx.Client(trust_env=False) as person:
        answer = person.post(address, data={"sub": user, **form})
    assert answer.status_code in {302, 303}, answer.text
    return str(answer.headers["location"])


def back(browser: TestClient, address: str) -> httpx.Response:
    parts = urlsplit(address)
    return browser.get(f"{parts.path}?{parts.query}")


def through(browser: TestClient, user: str, wanted: str = "/") -> httpx.Response:
    return back(browser, authorise(begin(browser, wanted), user))


def test_groups_decide_role_and_jurisdiction(house_with: House) -> None:
    house = house_with
    ways = house.browser().get("/api/session/ways").json()
    assert [(one["id"], one["title"]["zh"]) for one in ways["providers"]] == [
        ("city", "市局统一认证")
    ]
    browser = house.browser()
    answer = through(browser, "u-command", "/?wall=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?wall=1")
    found = browser.get("/api/session").json()
    assert (found["role"], found["prefixes"], found["zones"]) == ("dispatcher", ["3301"], [4])
    assert found["title"] == "杭州指挥台"
    assert not found["has_password"]
    admin = house.browser()
    through(admin, "u-admin")
    assert admin.get("/api/session").json()["role"] == "admin"  # the first rule that fits
    # the same person is the same account; nothing about the person is stored
    again = house.browser()
    through(again, "u-command")
    assert again.get("/api/session").json()["account"] == found["account"]
    kept = str(house.sql("select * from account")) + str(house.sql("select * from account_event"))
    assert "u-command" not in kept
    assert "person.example" not in kept
    assert "某人" not in kept
    assert house.sql("select from oidc_flow") == []
    cookies = answer.headers.get_list("set-cookie")
    assert any(one.startswith("__Host-wusetu_session=") and "HttpOnly" in one for one in cookies)


def test_who_has_no_group_here_stays_out(house_with: House) -> None:
    for user in ("u-nobody", "u-none", "u-unknown"):
        browser = house_with.browser()
        answer = through(browser, user)
        assert answer.headers["location"] == "/login?error=oidc_refused"
        assert browser.get("/api/session").status_code == 401
    assert house_with.sql("select from account") == []


def test_state_nonce_and_proof_key_are_sent(house_with: House) -> None:
    sent = parse_qs(urlsplit(begin(house_with.browser())).query)
    flow = house_with.sql("select * from oidc_flow")[0]
    assert sent["response_type"] == ["code"]
    assert sent["redirect_uri"] == ["https://testserver/api/oidc/city/callback"]
    assert sent["code_challenge_method"] == ["S256"]
    proof = urlsafe_b64encode(sha256(flow.verifier.encode()).digest()).rstrip(b"=").decode()
    assert sent["code_challenge"] == [proof]
    assert sent["nonce"] == [flow.nonce]
    assert sha256(sent["state"][0].encode()).digest() == bytes(flow.digest)
    assert "s3cret" not in str(sent)


def test_a_state_is_used_once_and_by_its_own_browser(house_with: House) -> None:
    mine, theirs = house_with.browser(), house_with.browser()
    way = authorise(begin(mine), "u-command")
    # an attacker's finished login does nothing in another browser
    begin(theirs)
    assert back(theirs, way).headers["location"] == "/login?error=oidc_refused"
    assert back(house_with.browser(), way).headers["location"] == "/login?error=oidc_refused"
    assert back(mine, way).headers["location"] == "/"
    assert back(mine, way).headers["location"] == "/login?error=oidc_refused"
    late = authorise(begin(mine), "u-command")
    house_with.sql("update oidc_flow set expires_at = now()")
    assert back(mine, late).headers["location"] == "/login?error=oidc_refused"
    for query in (
        "",
        "?state=x",
        "?code=y",
        "?error=access_denied&state=z",
        "?session_state=1&hd=2",
    ):
        answer = house_with.browser().get("/api/oidc/city/callback" + query)
        assert answer.headers["location"] == "/login?error=oidc_refused"


def test_a_token_for_another_login_or_issuer_is_not_believed(house_with: House) -> None:
    browser = house_with.browser()
    way = authorise(begin(browser), "u-command")
    house_with.sql("update oidc_flow set nonce = 'another'")
    assert back(browser, way).headers["location"] == "/login?error=oidc_refused"
    way = authorise(begin(browser), "u-command") + "&iss=https%3A%2F%2Fevil.example"
    assert back(browser, way).headers["location"] == "/login?error=oidc_refused"
    way = authorise(begin(browser), "u-command").replace("code=", "code=x")
    assert back(browser, way).headers["location"] == "/login?error=oidc_refused"
    denied = authorise(begin(browser), "u-command", action="deny")
    assert "error=access_denied" in denied
    assert back(browser, denied).headers["location"] == "/login?error=oidc_refused"
    # the provider's token is for another client than ours
    talk = house_with.app.state.oidc["city"]
    way = authorise(begin(browser), "u-command")
    talk.provider = talk.provider.model_copy(update={"client_id": "somebody-else"})
    assert back(browser, way).headers["location"] == "/login?error=oidc_refused"
    assert browser.get("/api/session").status_code == 401


def test_going_on_stays_on_this_site(house_with: House) -> None:
    for wanted in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        assert through(house_with.browser(), "u-command", wanted).headers["location"] == "/"


def test_the_settings_file_counts_at_the_next_login(house_with: House) -> None:
    browser = house_with.browser()
    through(browser, "u-command")
    house_with.sql("update account set role = 'admin', prefixes = null")
    until(lambda: browser.get("/api/session").json()["role"] == "admin")
    through(browser, "u-command")
    found = browser.get("/api/session").json()
    assert (found["role"], found["prefixes"]) == ("dispatcher", ["3301"])
    house_with.sql("update account set disabled_at = now()")
    answer = through(house_with.browser(), "u-command")
    assert answer.headers["location"] == "/login?error=oidc_refused"


def test_a_provider_that_is_not_there(open_house: Opener, tmp_path: Path) -> None:
    house = open_house(oidc_file=_file(tmp_path, f"http://127.0.0.1:{_free_port()}"))
    answer = house.browser().get("/api/oidc/city/login")
    assert answer.headers["location"] == "/login?error=unavailable"
    assert house.browser().get("/api/oidc/other/login").status_code == 404
