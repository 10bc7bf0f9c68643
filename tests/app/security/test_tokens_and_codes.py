"""Tokens of programs, one-time codes, accounts over HTTP, passwords."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest
from argon2 import extract_parameters

from app.database import transaction
from app.errors import Invalid
from app.main import create_app
from app.security import codes, passwords
from app.security.names import checked_prefixes
from app.services import accounts

from ..conftest import until
from .conftest import OTHER, PASSWORD, House, code_of, login, settings_of

Opener = Callable[..., House]


# tokens ------------------------------------------------------------------------------------------
def test_a_token_is_no_cookie_also_while_it_is_known(house: House) -> None:
    browser = house.desk("desk", "analyst", prefixes=["3301"])
    body = {"title": "nightly", "scopes": ["see_map"], "days": 30}
    secret = browser.post("/api/tokens", json=body).json()["secret"]
    cookies = {"Cookie": f"__Host-wusetu_session={secret}"}
    program = house.browser()
    assert program.get("/api/session", headers=cookies).status_code == 401
    used = program.get("/api/session", headers={"Authorization": f"Bearer {secret}"})
    assert used.status_code == 200
    assert program.get("/api/session", headers=cookies).status_code == 401


def test_a_token_does_what_it_was_made_for_and_no_more(house: House) -> None:
    browser = house.desk("desk", "analyst", prefixes=["3301"])
    body = {"title": "nightly", "scopes": ["see_map", "export"], "days": 30}
    made = browser.post("/api/tokens", json=body)
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    secret = made.json()["secret"]
    assert secret.startswith("wusetu_")
    program = house.browser(headers={"Authorization": f"Bearer {secret}"})
    found = program.get("/api/session").json()
    assert (found["how"], found["csrf"], found["prefixes"]) == ("token", None, ["3301"])
    assert found["actions"] == ["see_map", "export"]
    assert program.get("/api/manifest").status_code == 200
    # shown once, stored as a digest alone
    assert secret not in browser.get("/api/tokens").text
    assert secret.encode() not in bytes(house.sql("select digest from account_token")[0].digest)
    # a token renews, widens and administers nothing
    for method, address, sent in (
        ("post", "/api/tokens", body),
        ("get", "/api/tokens", None),
        ("delete", "/api/session", None),
        ("put", "/api/session/password", {"password": PASSWORD, "new_password": OTHER}),
        ("get", "/api/accounts", None),
    ):
        answer = program.request(method, address, json=sent)
        assert (answer.status_code, code_of(answer)) == (403, "forbidden"), address
    number = made.json()["token"]["id"]
    assert browser.delete(f"/api/tokens/{number}").status_code == 204
    until(lambda: program.get("/api/manifest").status_code == 401)
    assert browser.delete(f"/api/tokens/{number}").status_code == 404


def test_a_token_ends_and_goes_with_its_account(house: House) -> None:
    browser = house.desk("desk")
    body = {"title": "t", "scopes": ["see_map"], "days": 1}
    bearer = [
        {"Authorization": f"Bearer {browser.post('/api/tokens', json=body).json()['secret']}"}
        for _ in range(2)
    ]
    assert house.browser().get("/api/manifest", headers=bearer[0]).status_code == 200
    house.sql(
        "update account_token set expires_at = now() where id = (select min(id) from account_token)"
    )
    until(lambda: house.browser().get("/api/manifest", headers=bearer[0]).status_code == 401)
    assert house.browser().get("/api/manifest", headers=bearer[1]).status_code == 200
    with transaction(house.engine) as connection:
        found = accounts.by_name(connection, "desk")
        accounts.change(connection, found.id, {"disabled": True})
    until(lambda: house.browser().get("/api/manifest", headers=bearer[1]).status_code == 401)
    with transaction(house.engine) as connection:
        accounts.change(connection, found.id, {"disabled": False})
    assert house.browser().get("/api/manifest", headers=bearer[1]).status_code == 401


@pytest.mark.parametrize(
    "change",
    [{"scopes": []}, {"scopes": ["fly"]}, {"scopes": ["administer"]}, {"days": 0}, {"days": 367},
     {"title": ""}, {"title": "x" * 81}, {"title": "13800138000"}, {"account": 10**6},
     {"secret": "mine"}, {"scopes": None}],
)  # fmt: skip
def test_tokens_that_are_not_made(house: House, change: dict[str, object]) -> None:
    browser = house.desk("desk", "analyst")
    body = {"title": "t", "scopes": ["see_map"], "days": 1, **change}
    assert browser.post("/api/tokens", json=body).status_code in {403, 404, 422}
    assert house.sql("select from account_token") == []


def test_a_bad_token_is_not_rescued_by_a_good_cookie(house: House) -> None:
    browser = house.desk("desk")
    cookie = browser.cookies["__Host-wusetu_session"]
    for value in ("Bearer x", "Bearer", "", f"Bearer {cookie}", "Basic YTpi", "Bearer wusetu_" + "A" * 43,
                  "Bearer wusetu_" + "A" * 5000):  # fmt: skip
        answer = browser.get("/api/manifest", headers={"Authorization": value})
        assert answer.status_code == 401, value
    # nor does a token count in an address, where logs would keep it
    answer = house.browser().get("/api/manifest", params={"token": "wusetu_x"})
    assert answer.status_code == 401


# one-time codes ----------------------------------------------------------------------------------
def _with_codes(house: House) -> tuple[pyotp.TOTP, list[str]]:
    browser = house.desk("desk")
    assert browser.post("/api/session/codes", json={"password": OTHER}).status_code == 401
    begun = browser.post("/api/session/codes", json={"password": PASSWORD})
    assert begun.status_code == 200
    body = begun.json()
    assert body["address"].startswith("otpauth://totp/Wusetu:desk?")
    assert body["qr"].startswith("<svg xmlns")
    totp = pyotp.TOTP(body["secret"])
    # not asked for until a code proved that the device has the secret
    assert login(house.browser(), "desk").status_code == 204
    assert browser.put("/api/session/codes", json={"code": "wrong!"}).status_code == 422
    found = browser.put("/api/session/codes", json={"code": totp.now()})
    assert found.status_code == 200
    recovery = found.json()["codes"]
    assert browser.get("/api/session").json()["has_codes"]
    return totp, recovery


def test_a_code_is_asked_for_and_works_once(house: House) -> None:
    totp, _ = _with_codes(house)
    assert code_of(login(house.browser(), "desk")) == "code_needed"
    assert code_of(login(house.browser(), "desk", OTHER, code="123456")) == "wrong_login"
    # the code that confirmed the device counts as used, whatever the clock does meanwhile
    used = house.sql("select totp_step from account")[0].totp_step
    again = login(house.browser(), "desk", code=totp.generate_otp(used))
    assert code_of(again) == "wrong_login"
    # a code is accepted a step ahead of time, once
    house.sql("update account set totp_step = :step", step=int(time.time()) // 30 - 2)
    fresh = totp.now()
    answers = [login(house.browser(), "desk", code=fresh).status_code for _ in range(2)]
    assert answers == [204, 401]


def test_wrong_codes_lock_and_right_passwords_do_not_unlock(open_house: Opener) -> None:
    house = open_house(lock_after=3, lock_seconds=600)
    _, recovery = _with_codes(house)
    for _ in range(3):
        assert login(house.browser(), "desk", code="AAAA-AAAA-AAAA-AAAA").status_code == 401
        assert code_of(login(house.browser(), "desk")) == "code_needed"
    assert login(house.browser(), "desk", code=recovery[0]).status_code == 429
    with transaction(house.engine) as connection:
        found = accounts.by_name(connection, "desk")
        assert found.locked_until is not None
        accounts.unlock(connection, found.id)
    assert login(house.browser(), "desk", code=recovery[0]).status_code == 204


def test_a_recovery_code_works_once(house: House) -> None:
    _, recovery = _with_codes(house)
    assert len(set(recovery)) == 10
    assert (
        login(house.browser(), "desk", code=recovery[3].lower().replace("-", " ")).status_code
        == 204
    )
    assert login(house.browser(), "desk", code=recovery[3]).status_code == 401
    assert login(house.browser(), "desk", code=recovery[4]).status_code == 204
    stored = house.sql("select digest from account_recovery")
    assert len(stored) == 8
    assert "recovery_code_used" in house.events()


def test_codes_end_with_password_and_code_and_with_an_admins_link(house: House) -> None:
    _, recovery = _with_codes(house)
    browser = house.logged_in("desk", code=recovery[0])
    off = "/api/session/codes/off"
    assert browser.post(off, json={"password": OTHER, "code": recovery[1]}).status_code == 401
    assert browser.post(off, json={"password": PASSWORD, "code": "000000"}).status_code == 401
    assert browser.post(off, json={"password": PASSWORD, "code": recovery[1]}).status_code == 204
    assert login(house.browser(), "desk").status_code == 204
    house.sql("update account set totp_secret = 'JBSWY3DPEHPK3PXP'")
    with transaction(house.engine) as connection:
        link = accounts.new_link(connection, accounts.by_name(connection, "desk").id, 1)
    body = {"link": link.secret, "password": OTHER}
    assert house.browser().post("/api/session/link", json=body).status_code == 204
    assert login(house.browser(), "desk", OTHER).status_code == 204


def test_steps_of_codes() -> None:
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    totp = pyotp.TOTP(secret)
    now = 1_800_000_010
    step = now // 30
    for ahead, known in ((-60, False), (-30, True), (0, True), (30, True), (60, False)):
        found = codes.step_of(secret, totp.at(now + ahead), None, now)
        assert (found is not None) == known
    assert codes.step_of(secret, totp.at(now), step, now) is None
    assert codes.step_of(secret, totp.at(now), step - 1, now) == step
    for bad in ("", "12345", "1234567", "١٢٣٤٥٦", "abcdef", "12 34"):
        assert codes.step_of(secret, bad, None, now) is None


# accounts over HTTP ------------------------------------------------------------------------------
def test_an_admin_makes_changes_and_disables(house: House) -> None:
    admin = house.desk("boss", "admin")
    body = {
        "name": "Town-7",
        "title": "七镇",
        "role": "grid_worker",
        "prefixes": ["330102001"],
        "zones": [3, 1],
    }
    made = admin.post("/api/accounts", json=body)
    assert made.status_code == 201, made.text
    account = made.json()["account"]
    assert (account["name"], account["zones"]) == ("town-7", [1, 3])
    link = made.json()["link"]["link"]
    assert link.startswith("https://testserver/login#link=")
    used = {"link": link.split("=")[1], "password": PASSWORD}
    assert house.browser().post("/api/session/link", json=used).status_code == 204
    worker = house.logged_in("town-7")
    assert code_of(worker.get("/api/accounts")) == "forbidden"
    assert code_of(worker.post("/api/accounts", json={**body, "name": "x9"})) == "forbidden"
    place = f"/api/accounts/{account['id']}"
    assert admin.patch(place, json={"role": "viewer"}).json()["role"] == "viewer"
    # null and what is not named stay as they are: nothing widens by being forgotten
    same = admin.patch(place, json={"prefixes": None, "title": None}).json()
    assert (same["prefixes"], same["title"]) == (["330102001"], "七镇")
    assert len(admin.get(f"{place}/sessions").json()) == 2
    assert admin.patch(place, json={"disabled": True}).json()["disabled_at"]
    until(lambda: worker.get("/api/session").status_code == 401)
    for extra in ({"password_hash": "x"}, {"id": 1}, {"external": True}, {"name": "other"}):
        assert admin.patch(place, json=extra).status_code == 422
    for wrong in ({"name": "town-7"}, {"name": "13800138000"}, {"role": "king"}, {"prefixes": None},
                  {"prefixes": ["%"]}, {"zones": [0]}, {"is_admin": True}):  # fmt: skip
        sent = {**body, "name": "fresh", **wrong}
        assert admin.post("/api/accounts", json=sent).status_code in {409, 422}, wrong
    assert [one["name"] for one in admin.get("/api/accounts").json()] == ["boss", "town-7"]


def test_the_last_admin_stays(house: House) -> None:
    admin = house.desk("boss", "admin")
    place = f"/api/accounts/{admin.get('/api/session').json()['account']}"
    for change in ({"disabled": True}, {"role": "viewer"}, {"prefixes": ["33"]}):
        assert admin.patch(place, json=change).status_code == 409
    assert admin.get("/api/session").json()["role"] == "admin"
    house.account("second", "admin")
    assert admin.patch(place, json={"role": "viewer"}).status_code == 200
    until(lambda: admin.get("/api/accounts").status_code == 403)


def test_an_admin_of_a_part_knows_only_that_part(house: House) -> None:
    part = house.desk("hz-admin", "admin", prefixes=["3301"], zones=[1])
    there = house.account("nb-desk", "viewer", prefixes=["3302"])
    above = house.account("boss", "admin")
    house.account("hz-desk", "viewer", prefixes=["330106"])
    zone = house.account("zone-desk", "viewer", prefixes=["3301"], zones=[2])
    assert [one["name"] for one in part.get("/api/accounts").json()] == ["hz-admin", "hz-desk"]
    for number in (there, above, zone, 10**6):
        answers = [
            part.patch(f"/api/accounts/{number}", json={"title": "x"}),
            part.post(f"/api/accounts/{number}/link"),
            part.post(f"/api/accounts/{number}/unlock"),
            part.get(f"/api/accounts/{number}/sessions"),
            part.delete(f"/api/accounts/{number}/sessions"),
            part.get("/api/tokens", params={"account": number}),
            part.post("/api/tokens", json={"title": "t", "scopes": ["see_map"], "days": 1, "account": number}),
        ]  # fmt: skip
        # what is not there and what is not theirs sound the same
        assert {(one.status_code, one.json()["message"]) for one in answers} == {
            (404, f"there is no account {number}")
        }
    body = {"name": "fresh", "role": "viewer"}
    for reach in ("all", ["3302"], ["33"], ["3301", "3302"]):
        assert part.post("/api/accounts", json={**body, "prefixes": reach}).status_code == 403
    zoned = {**body, "prefixes": ["3301"], "zones": [2]}
    assert part.post("/api/accounts", json=zoned).status_code == 403
    good = part.post("/api/accounts", json={**body, "prefixes": ["330106"], "zones": [1]})
    assert good.status_code == 201
    widened = part.patch(f"/api/accounts/{good.json()['account']['id']}", json={"prefixes": "all"})
    assert widened.status_code == 403


def test_what_happened_is_never_changed(house: House) -> None:
    house.account("desk")
    assert house.events()[:2] == ["created", "link_made"]
    for statement in (
        "update account_event set what = 'x'", "delete from account_event", "truncate account_event",
    ):  # fmt: skip
        with pytest.raises(Exception, match="never changed"):
            house.sql(statement)


# passwords and settings --------------------------------------------------------------------------
def test_real_hashes_cost_what_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = extract_parameters(passwords.make_hash(PASSWORD))
    assert (found.memory_cost, found.time_cost, found.parallelism) == (65_536, 3, 4)
    assert found.type.name == "ID"
    assert passwords.make_hash(PASSWORD) != passwords.make_hash(PASSWORD)


def test_a_hash_of_older_parameters_is_renewed_at_login(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.account("desk")
    before = house.sql("select password_hash as h, password_at as at from account")[0]
    monkeypatch.setattr(passwords, "HASHER", passwords.PasswordHasher(2, 64, 1))
    assert login(house.browser(), "desk").status_code == 204
    after = house.sql("select password_hash as h, password_at as at from account")[0]
    assert "t=2" in after.h
    assert after.h != before.h
    assert after.at == before.at  # the password is as old as it was
    assert len(house.sql("select from account_session")) == 1


@pytest.mark.parametrize(
    "bad",
    ["short", "123456789012", "qwertyuiop12", "password1234", "PASSWORD!!!!", "zxcvbnmasdfghjkl",
     "abababababab", "wusetu-2026!", "aaaaaaaaaaaaaaa", "x" * 129, "with\x00control chars", "desk desk 1"],
)  # fmt: skip
def test_passwords_that_are_refused(bad: str) -> None:
    with pytest.raises(Invalid):
        passwords.check_new(bad, "desk", 12)


def test_passwords_that_are_good() -> None:
    for good in (
        PASSWORD,
        OTHER,
        "Tz7!qmW2#kdLp",
        "西湖断桥残雪三潭印月平湖秋月",
        "x" * 4 + "-quick-brown-9",
    ):
        passwords.check_new(good, "desk", 12)


def test_prefixes_are_never_widened_silently() -> None:
    assert checked_prefixes(["3301", "330106", "3302"]) == ("3301", "3302")
    assert checked_prefixes(["330100" + "0" * 21]) == ("3301",)
    assert checked_prefixes(["330100"]) == ("330100",)
    assert checked_prefixes([]) == ()
    assert checked_prefixes(None) is None
    for bad in ("", "%", "33 01", "x" * 65, "33'"):
        with pytest.raises(Invalid):
            checked_prefixes([bad])


def test_nothing_starts_with_a_provider_file_that_is_broken(tmp_path: Path) -> None:
    file = tmp_path / "oidc.yaml"
    rule = "{group: g, role: viewer, prefixes: all}"

    def provider(scheme: str, one: str) -> str:
        return (
            "providers: [{id: a, title: {zh: 甲, en: A}, client_id: c, discovery: "
            f"'{scheme}://idp.example/.well-known/openid-configuration', rules: [{one}]}}]"
        )

    for text, reason in (
        ("providers: [", "line 1: not YAML"),
        ("providers: &a [*a]", "aliases"),
        ("providers: 2024-13-45", "this is no timestamp"),
        ("providers: []\nx: 1", "Extra inputs"),
        (provider("http", rule), "https"),
        (provider("https", rule.replace("viewer", "king")), "rules.0.role"),
        (provider("https", "{group: g, role: viewer}"), "rules.0.prefixes"),
        (provider("https", rule.replace("all", "['%']")), "no beginning of a code"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(Invalid, match=reason):
            create_app(settings_of("postgresql://x/y", oidc_file=file))
    file.write_text(provider("https", rule), encoding="utf-8")
    assert list(create_app(settings_of("postgresql://x/y", oidc_file=file)).state.oidc) == ["a"]
