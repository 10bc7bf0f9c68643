"""Logging in and out with a password: cookies, locks, expiry, one-time links."""

from __future__ import annotations

import threading
import time
import unicodedata
from collections.abc import Callable
from http.cookies import SimpleCookie

import pytest

from app.database import transaction
from app.errors import WusetuError
from app.security import passwords
from app.security.doorkeeper import cookie
from app.security.identity import MAY, Role
from app.security.secrets import digest
from app.services import accounts, accounts_login

from ..conftest import until
from .conftest import OTHER, PASSWORD, SITE, House, code_of, login

Opener = Callable[..., House]


def test_login_says_who_and_logout_ends(house: House) -> None:
    house.account("hz-desk", "analyst", prefixes=["3301"], zones=[7], title="杭州指挥台")
    browser = house.browser()
    assert code_of(browser.get("/api/session")) == "login_needed"
    assert code_of(browser.get("/api/manifest")) == "login_needed"
    assert login(browser, "hz-desk").status_code == 204
    found = browser.get("/api/session").json()
    assert found["name"] == "hz-desk"
    assert found["title"] == "杭州指挥台"
    assert found["role"] == "analyst"
    assert found["prefixes"] == ["3301"]
    assert found["zones"] == [7]
    assert set(found["actions"]) == MAY[Role.analyst]
    assert found["csrf"] == browser.cookies["__Host-wusetu_csrf"]
    assert browser.get("/api/manifest").status_code == 200
    out = browser.delete("/api/session", headers={"X-CSRF-Token": found["csrf"]})
    assert out.status_code == 204
    assert "cache" in out.headers["clear-site-data"]
    assert dict(browser.cookies) == {}
    assert browser.get("/api/manifest").status_code == 401
    assert house.events()[-2:] == ["login", "logout"]


def test_cookies_are_guarded(house: House) -> None:
    house.account("desk")
    for site, prefix in ((SITE, "__Host-"), ("http://testserver", "")):
        browser = house.browser(site)
        answer = login(browser, "desk")
        jar = SimpleCookie()
        for line in answer.headers.get_list("set-cookie"):
            jar.load(line)
        secret, csrf = jar[f"{prefix}wusetu_session"], jar[f"{prefix}wusetu_csrf"]
        assert secret["httponly"]
        assert not csrf["httponly"]  # scripts have to repeat it
        for one in (secret, csrf):
            assert one["samesite"] == "lax"
            assert one["path"] == "/"
            assert not one["domain"]
            assert bool(one["secure"]) == (site == SITE)
            assert int(one["max-age"]) == 12 * 3600
        assert secret.value not in csrf.value
        # what is stored is no secret
        stored = house.sql("select digest from account_session")
        assert all(secret.value.encode() not in bytes(row.digest) for row in stored)


def test_a_session_is_never_the_one_before(house: House) -> None:
    house.account("desk")
    browser = house.browser()
    planted = "A" * 43
    browser.cookies.set("__Host-wusetu_session", planted, domain="testserver.local", path="/")
    assert login(browser, "desk").status_code == 204
    first = browser.cookies["__Host-wusetu_session"]
    assert first != planted
    login(browser, "desk")
    second = browser.cookies["__Host-wusetu_session"]
    assert second != first
    old = house.browser(cookies={"__Host-wusetu_session": first})
    assert old.get("/api/manifest").status_code == 401
    assert browser.get("/api/manifest").status_code == 200


def test_cookies_of_another_scheme_or_twice_are_nothing(house: House) -> None:
    browser = house.desk("desk")
    secret = browser.cookies["__Host-wusetu_session"]
    fresh = house.browser()
    bare = {"Cookie": f"wusetu_session={secret}"}
    assert fresh.get("/api/manifest", headers=bare).status_code == 401
    twice = {"Cookie": f"__Host-wusetu_session={secret}; __Host-wusetu_session=B"}
    assert fresh.get("/api/manifest", headers=twice).status_code == 401
    good = {"Cookie": f"a=b; __Host-wusetu_session={secret}"}
    assert fresh.get("/api/manifest", headers=good).status_code == 200
    # whichever of two would have been taken
    for sent in ([b"s=A; s=B"], [b"s=B; s=A"], [b"s=A", b"s=B"]):
        assert cookie([(b"cookie", one) for one in sent], "s") is None
    assert cookie([(b"cookie", b"s=A; s=A")], "s") == "A"


def test_a_name_that_no_database_can_hold_is_a_wrong_one(house: House) -> None:
    house.account("desk")
    for name in ("desk\0", "\0", "nobody\0x"):
        answer = login(house.browser(), name)
        assert (answer.status_code, code_of(answer)) == (401, "wrong_login")


def test_unknown_wrong_disabled_and_passwordless_answer_alike(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.account("known")
    house.account("gone")
    house.account("fresh", password=None)
    house.sql("update account set disabled_at = now() where name = 'gone'")
    work: list[str] = []
    real = passwords.HASHER

    class Counted:
        """Hashes and compares as ever, and writes down with which parameters."""

        hash = staticmethod(real.hash)
        check_needs_rehash = staticmethod(real.check_needs_rehash)

        def verify(self, stored: str, text: str) -> bool:
            work.append(stored.split("$")[3])
            return real.verify(stored, text)

    monkeypatch.setattr(passwords, "HASHER", Counted())
    answers = [login(house.browser(), name, OTHER) for name in ("known", "nobody", "gone", "fresh")]
    answers += [login(house.browser(), name) for name in ("nobody", "gone", "fresh")]
    bodies = {(one.status_code, code_of(one), one.json()["message"]) for one in answers}
    assert bodies == {(401, "wrong_login", "the name, the password or the code is wrong")}
    # the same work with the same parameters for each: no clock can tell them apart
    assert work == ["m=64,t=1,p=1"] * 7
    assert all("set-cookie" not in one.headers for one in answers)
    # what was typed as a name is nowhere: it may have been a password
    kept = house.sql(
        "select detail::text as text, account_id from account_event where what = 'login_failed'"
    )
    assert len(kept) == 7
    assert all("nobody" not in row.text for row in kept)


@pytest.mark.parametrize("name", ["known", "nobody"])
def test_a_name_is_locked_for_longer_each_time(open_house: Opener, name: str) -> None:
    house = open_house(lock_after=3, lock_seconds=600, lock_longest_seconds=2000)
    house.account("known")
    assert [login(house.browser(), name, OTHER).status_code for _ in range(3)] == [401] * 3
    locked = login(house.browser(), name)  # the right password of the known one
    assert (locked.status_code, code_of(locked)) == (429, "too_many")
    assert 590 <= int(locked.headers["retry-after"]) <= 600
    for least, most in ((1190, 1200), (1990, 2000), (1990, 2000)):
        house.sql("update login_try set locked_until = now()")
        assert login(house.browser(), name, OTHER).status_code == 401
        again = login(house.browser(), name, OTHER)
        assert least <= int(again.headers["retry-after"]) <= most
    assert "locked" in house.events()
    house.sql("update login_try set locked_until = now()")
    good = login(house.browser(), name)
    assert good.status_code == (204 if name == "known" else 401)
    if name == "known":
        assert house.sql("select from login_try") == []


def test_tries_at_the_same_moment_do_not_outrun_the_lock(house: House) -> None:
    house.account("desk")
    limit = house.settings.accounts.lock_after
    gate = threading.Barrier(16)
    looked_at: list[str] = []

    def attempt() -> None:
        gate.wait()
        try:
            with transaction(house.engine) as connection:
                accounts_login.count_try(connection, "desk", house.settings.accounts)
            looked_at.append("looked at")
        except WusetuError as error:
            looked_at.append(error.code)

    threads = [threading.Thread(target=attempt) for _ in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(looked_at) == ["looked at"] * limit + ["too_many"] * (16 - limit)


def test_names_have_one_form(house: House) -> None:
    house.account("Kelvin-台")
    for typed in ("kelvin-台", "KELVIN-台", "ｋｅｌｖｉｎ-台", "\u212aelvin-台", " kelvin-台 "):
        assert login(house.browser(), typed).status_code == 204, typed
    with transaction(house.engine) as connection, pytest.raises(WusetuError, match="taken"):
        accounts.create(connection, "ＫＥＬＶＩＮ-台", accounts.Role.admin)
    # look-alikes of other scripts are no names at all
    for name in (
        "кelvin",
        "kеlvin",
        "a",
        "a b",
        "x" * 65,
        "a\u200bb",
        "",
        "13800138000",
        "desk 138-0013-8000",
    ):
        with transaction(house.engine) as connection, pytest.raises(WusetuError):
            accounts.create(connection, name, accounts.Role.viewer)
    assert login(house.browser(), "ﷺ" * 64).status_code == 401


def test_passwords_have_one_form_and_a_limit(house: House) -> None:
    composed = unicodedata.normalize("NFC", "élan vital à Hangzhou")
    house.account("desk", password=composed)
    assert login(house.browser(), "desk", unicodedata.normalize("NFD", composed)).status_code == 204
    assert login(house.browser(), "desk", "x" * 513).status_code == 422
    assert login(house.browser(), "desk", "x" * 512).status_code == 401
    assert (
        login(
            house.browser(), "desk", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")
        ).status_code
        == 401
    )
    lone = house.browser().post(
        "/api/session", content=b'{"name": "desk", "password": "\\ud800"}',
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert lone.status_code in {401, 422}


def test_password_change_needs_the_old_one_and_ends_the_others(house: House) -> None:
    first = house.desk("desk")
    second = house.logged_in("desk")
    wrong = first.put("/api/session/password", json={"password": OTHER, "new_password": OTHER})
    assert (wrong.status_code, code_of(wrong)) == (401, "wrong_login")
    for bad in (
        "short",
        "123456789012345",
        "password12345",
        PASSWORD,
        "my-desk-is-mine",
        "é" * 200,
    ):
        answer = first.put(
            "/api/session/password", json={"password": PASSWORD, "new_password": bad}
        )
        assert answer.status_code == 422, bad
    before = first.cookies["__Host-wusetu_session"]
    done = first.put("/api/session/password", json={"password": PASSWORD, "new_password": OTHER})
    assert done.status_code == 204
    assert first.cookies["__Host-wusetu_session"] != before
    assert first.get("/api/session").status_code == 200
    assert second.get("/api/session").status_code == 401
    assert login(house.browser(), "desk").status_code == 401
    assert login(house.browser(), "desk", OTHER).status_code == 204


def test_a_guess_at_the_old_password_counts_too(open_house: Opener) -> None:
    house = open_house(lock_after=2, lock_seconds=600)
    browser = house.desk("desk")
    change = {"password": OTHER, "new_password": OTHER}
    codes = [browser.put("/api/session/password", json=change).status_code for _ in range(3)]
    assert codes == [401, 401, 429]


def test_an_old_password_must_be_changed(open_house: Opener) -> None:
    house = open_house(password_days=30)
    house.account("desk")
    house.sql("update account set password_at = now() - interval '31 days'")
    browser = house.browser()
    answer = login(browser, "desk")
    assert (answer.status_code, code_of(answer)) == (403, "password_expired")
    assert "set-cookie" not in answer.headers
    assert code_of(login(browser, "desk", OTHER)) == "wrong_login"
    assert login(browser, "desk", new_password=PASSWORD).status_code == 422
    assert login(browser, "desk", new_password=OTHER).status_code == 204
    assert login(house.browser(), "desk", OTHER).status_code == 204
    assert browser.get("/api/session").json()["password_expires_at"] is not None


def test_a_link_works_once_and_not_for_ever(house: House) -> None:
    number = house.account("desk")
    browser = house.logged_in("desk")
    with transaction(house.engine) as connection:
        old = accounts.new_link(connection, number, 1)
        link = accounts.new_link(connection, number, 1)
    until(lambda: browser.get("/api/session").status_code == 401)  # a lost password ends sessions

    def use(secret: str, password: str = OTHER) -> int:
        body = {"link": secret, "password": password}
        return house.browser().post("/api/session/link", json=body).status_code

    assert use(old.secret) == 401
    assert use(link.secret, "short") == 422  # refused, and still good
    assert use(link.secret) == 204
    assert use(link.secret) == 401
    with transaction(house.engine) as connection:
        late = accounts.new_link(connection, number, 1)
    house.sql("update account_link set expires_at = now() - interval '1 second'")
    assert use(late.secret) == 401
    assert login(house.browser(), "desk", OTHER).status_code == 204


def test_of_two_that_use_a_link_at_once_one_gets_in(house: House) -> None:
    number = house.account("desk", password=None)
    with transaction(house.engine) as connection:
        link = accounts.new_link(connection, number, 1)
    gate = threading.Barrier(4)
    results: list[str] = []

    def use(password: str) -> None:
        gate.wait()
        try:
            accounts_login.use_link(
                house.engine, house.settings.accounts, link=link.secret, password=password
            )
            results.append("in")
        except WusetuError as error:
            results.append(error.code)

    threads = [threading.Thread(target=use, args=(f"{OTHER} {n}",)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(results) == ["in", "wrong_login", "wrong_login", "wrong_login"]


def test_the_first_admin_has_no_default_secret(house: House) -> None:
    with transaction(house.engine) as connection:
        link = accounts.first_admin(connection, 24)
    assert link is not None
    assert house.sql("select from account where password_hash is not null") == []
    for guess in ("admin", "password", "wusetu", link.secret):
        assert login(house.browser(), "admin", guess).status_code == 401
    with transaction(house.engine) as connection:
        again = accounts.first_admin(connection, 24)  # a restart: only the newest link is good
    assert again is not None
    body = {"link": link.secret, "password": PASSWORD}
    assert house.browser().post("/api/session/link", json=body).status_code == 401
    browser = house.browser()
    body["link"] = again.secret
    assert browser.post("/api/session/link", json=body).status_code == 204
    assert browser.get("/api/session").json()["role"] == "admin"
    with transaction(house.engine) as connection:
        assert accounts.first_admin(connection, 24) is None
        assert [one.name for one in accounts.listed(connection)] == ["admin"]


def test_a_disabled_admin_is_not_revived_by_a_restart(house: House) -> None:
    house.account("admin", "admin")
    house.sql("update account set disabled_at = now()")
    with transaction(house.engine) as connection, pytest.raises(WusetuError, match="disabled"):
        accounts.first_admin(connection, 24)


def test_sessions_end_idle_absolutely_and_by_hand(house: House) -> None:
    browser = house.desk("desk")
    other = house.logged_in("desk")
    mine = browser.get("/api/session/all").json()
    assert [one["present"] for one in mine] == [False, True]
    assert browser.delete(f"/api/session/all/{mine[0]['id']}").status_code == 204
    assert other.get("/api/session").status_code == 401
    assert browser.delete(f"/api/session/all/{mine[0]['id']}").status_code == 404
    stranger = house.desk("stranger")
    assert stranger.delete(f"/api/session/all/{mine[1]['id']}").status_code == 404
    assert browser.get("/api/session").status_code == 200
    # idle: this process may still believe it, the next look-up does not
    house.sql("update account_session set seen_at = now() - interval '61 minutes'")
    house.app.state.doors.known.announced("test")
    assert browser.get("/api/session").status_code == 401
    again = house.logged_in("desk")
    house.sql("update account_session set expires_at = now()")
    until(lambda: again.get("/api/session").status_code == 401)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("expires_at = now() - interval '1 minute'", "ends"),
        ("seen_at = now() - interval '61 minutes'", "used"),
    ],
)
def test_a_session_ends_in_memory_too(house: House, change: str, field: str) -> None:
    browser = house.desk("desk")
    key = digest(browser.cookies["__Host-wusetu_session"])
    doors = house.app.state.doors

    def believed() -> bool:
        return browser.get("/api/session").status_code == 200 and doors.known.find(key) is not None

    until(believed)
    # nothing is announced: time alone ends it
    house.sql(f"set local session_replication_role = replica; update account_session set {change}")
    found = doors.known.find(key)
    if found is not None:
        setattr(found, field, time.monotonic() - 61 * 60)
    assert browser.get("/api/session").status_code == 401


def test_a_clock_set_back_locks_nobody_out_and_keeps_nobody_in(house: House) -> None:
    browser = house.desk("desk")
    # what was written while the database's clock was three days ahead
    house.sql("update account_session set seen_at = now() + interval '3 days'")
    doors = house.app.state.doors
    found = doors.session(browser.cookies["__Host-wusetu_session"])
    assert found.slept(time.monotonic() + 61 * 60)
    assert found.noted <= time.monotonic()  # so its use is written down again soon
    house.sql(
        "insert into login_try (name_digest, tries, locked_until, tried_at) values "
        "(:name, 9, now() + interval '3 days', now() + interval '3 days')",
        name=digest("desk"),
    )
    assert login(house.browser(), "desk").status_code == 204


def test_an_account_that_is_disabled_is_out_at_once(house: House) -> None:
    number = house.account("desk")
    browser = house.logged_in("desk")
    assert browser.get("/api/session").status_code == 200
    house.sql("update account set disabled_at = now() where id = :id", id=number)
    until(lambda: browser.get("/api/session").status_code == 401)
    assert login(house.browser(), "desk").status_code == 401


def test_a_changed_jurisdiction_counts_at_once(house: House) -> None:
    house.account("desk", prefixes=["3301"])
    browser = house.logged_in("desk")
    assert browser.get("/api/session").json()["prefixes"] == ["3301"]
    house.sql("update account set prefixes = '{3302}', role = 'analyst'")
    until(lambda: browser.get("/api/session").json()["prefixes"] == ["3302"])
    assert browser.get("/api/session").json()["role"] == "analyst"


def test_nothing_can_be_set_that_is_not_offered(house: House) -> None:
    house.account("desk")
    extra = {"role": "admin", "prefixes": "all", "account": 1}
    for key, value in extra.items():
        assert login(house.browser(), "desk", **{key: value}).status_code == 422
    assert house.sql("select role from account")[0].role == "viewer"
