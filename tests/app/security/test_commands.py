"""`wusetu serve` and `wusetu accounts`: who may be served, how the first admin gets in."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner, Result

from app.cli import accounts as accounts_cli
from app.cli.serve import _may_listen
from app.errors import Invalid
from app.settings import AccountSettings, Settings

from .conftest import PASSWORD, House, login

WUSETU = [sys.executable, "-c", "from app.cli import main; main()"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_without_accounts_only_this_machine_is_served(host: str) -> None:
    with pytest.raises(Invalid, match="WUSETU_ACCESS=accounts"):
        _may_listen(Settings(), host)
    with pytest.raises(Invalid, match="WUSETU_ACCOUNTS_PUBLIC_URL"):
        _may_listen(Settings(access="accounts"), host)
    public = AccountSettings(public_url="https://map.example")
    _may_listen(Settings(access="accounts", accounts=public), host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_this_machine_is_served_either_way(host: str) -> None:
    _may_listen(Settings(), host)
    _may_listen(Settings(access="accounts"), host)


def test_the_command_refuses_before_anything_starts(tmp_path: object) -> None:
    found = subprocess.run(
        [*WUSETU, "serve", "--host", "0.0.0.0", "--port", "0"],
        env={**os.environ, "WUSETU_DATA_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert found.returncode == 2
    assert "WUSETU_ACCESS=accounts" in found.stderr
    assert os.listdir(str(tmp_path)) == []


def test_an_http_address_over_the_network_is_warned_about(
    capsys: pytest.CaptureFixture[str],
) -> None:
    public = AccountSettings(public_url="http://map.example")
    _may_listen(Settings(access="accounts", accounts=public), "0.0.0.0")
    assert "http, not https" in capsys.readouterr().err


@pytest.fixture
def serving(db_url: str) -> Iterator[list[str]]:
    """Lines of a server with accounts, until its address."""
    process = subprocess.Popen(
        [*WUSETU, "serve", "--port", "0", "--no-migrate"],
        env={
            **os.environ,
            "WUSETU_DATABASE_URL": db_url,
            "WUSETU_ACCESS": "accounts",
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    lines: list[str] = []

    def read() -> None:
        assert process.stdout
        lines.extend(iter(process.stdout.readline, ""))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    end = time.monotonic() + 300
    while not any(line.startswith("http://") for line in lines):
        assert process.poll() is None, lines
        assert time.monotonic() < end, lines
        time.sleep(0.05)
    yield lines
    process.send_signal(signal.SIGTERM)
    process.wait(120)
    reader.join(60)


def test_the_server_prints_the_first_admins_link(serving: list[str]) -> None:
    site = next(line.strip() for line in serving if line.startswith("http://"))
    text = "".join(serving)
    found = re.search(r"(http://\S+)/login#link=(\S+)", text)
    assert found, text
    assert found[1] + "/" == site
    with httpx.Client(base_url=site, trust_env=False, timeout=120) as browser:
        # strangers are sent to the login page, and told nothing else
        page = browser.get("/", headers={"Accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (303, "/login")
        assert browser.get("/api/health").status_code == 401
        # the link's secret stands behind the `#`: it never was in a request for a page
        used = browser.post("/api/session/link", json={"link": found[2], "password": PASSWORD})
        assert used.status_code == 204
        assert browser.get("/api/session").json()["role"] == "admin"
        again = browser.post("/api/session/link", json={"link": found[2], "password": PASSWORD})
        assert again.status_code == 401
    assert text.count("link=") == 1


@pytest.fixture
def run(house: House, db_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(accounts_cli.command, list(arguments))

    return call


def test_accounts_by_command(house: House, run) -> None:
    made = run("add", "HZ-Desk", "--role", "analyst", "--prefix", "3301", "--prefix", "330106")
    assert made.exit_code == 0, made.output
    secret = re.search(r"/login#link=(\S+)", made.output)[1]  # type: ignore[index]
    assert run("add", "x1", "--role", "viewer").exit_code == 2  # nothing said about what it sees
    assert "no password yet" in run("list").output
    body = {"link": secret, "password": PASSWORD}
    browser = house.browser()
    assert browser.post("/api/session/link", json=body).status_code == 204
    assert browser.get("/api/session").json()["prefixes"] == ["3301"]
    assert " 3301 " in run("list").output
    for _ in range(5):
        login(house.browser(), "hz-desk", "wrong wrong wrong")
    assert login(house.browser(), "hz-desk").status_code == 429
    assert "locked until" in run("list").output
    assert run("unlock", "hz-desk").exit_code == 0
    assert login(house.browser(), "hz-desk").status_code == 204
    token = run("token", "hz-desk", "--title", "nightly", "--scope", "see_map")
    assert token.exit_code == 0, token.output
    bearer = {"Authorization": f"Bearer {token.output.split()[-1]}"}
    assert house.browser().get("/api/manifest", headers=bearer).status_code == 200
    assert run("token", "hz-desk", "--title", "n", "--scope", "fly").exit_code == 2
    assert "cannot" not in run("reset-link", "hz-desk").output
    assert run("disable", "hz-desk").exit_code == 0
    assert "disabled" in run("list").output
    assert login(house.browser(), "hz-desk").status_code == 401
    assert isinstance(run("reset-link", "hz-desk").exception, Exception)
    assert isinstance(run("unlock", "nobody").exception, Exception)
