"""Treaties: proposed, accepted, in force; packages: every way in which one is refused."""

from __future__ import annotations

import json
import secrets
import stat
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.database import transaction
from app.errors import Conflict, Invalid, NotFound, WusetuError
from app.services import treaties, treaty_files, treaty_keys, treaty_packages, treaty_terms
from app.services.treaties import Terms
from app.services.treaty_packages import Package

from .border_house import DEEP, MINE, THEIRS, House, house
from .conftest import install
from .test_cells import scatter

OFFICER = "border_officer"
DAY = date(2024, 12, 20)
TERMS = Terms(
    "counties", 1, (MINE, THEIRS), 6, ("quarter",), 7, 5,
    treaties.scene_kinds(["theft", "fire", "homicide"]), date(2023, 1, 1),
)  # fmt: skip


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    yield from house(cluster, template, tmp_path_factory.mktemp("treaty"))


def draft(**more: Any) -> dict[str, Any]:
    return {
        "pack": "small", "name": "web", "sides": [MINE, THEIRS], "valid_from": "2024-01-01",
        "kinds": ["theft"], **more,
    }  # fmt: skip


def test_in_force_is_what_all_sides_accepted(home: House) -> None:
    with home.app() as client:

        def ask(method: str, path: str, prefix: str | None, body: Any = None) -> Any:
            return client.request(method, path, headers=home.as_(OFFICER, prefix), json=body)

        made = ask("POST", "/api/treaties", MINE, draft())
        assert made.status_code == 201, made.text
        (version,) = made.json()["versions"]
        assert (version["state"], version["waiting"]) == ("proposed", [MINE, THEIRS])
        assert made.json()["in_force"] is None
        decide = "/api/treaties/web/decisions"
        said = ask("POST", decide, MINE, {"version": 1, "decision": "accept"})
        assert said.json()["versions"][0]["state"] == "proposed"
        again = ask("POST", decide, MINE, {"version": 1, "decision": "accept"})
        assert (again.status_code, again.json()["message"]) == (
            409,
            "this side has decided already",
        )
        for side in (THEIRS, None):  # not for another side, however asked
            body = {"version": 1, "decision": "accept", "side": THEIRS}
            assert ask("POST", decide, DEEP, body).status_code == 404, side
            assert ask("POST", decide, MINE, body).status_code == 403
        said = ask("POST", decide, THEIRS, {"version": 1, "decision": "accept"})
        assert said.json()["in_force"] == 1
        # the next version leaves this one in force until all accepted it, too
        ask("POST", "/api/treaties", THEIRS, draft(min_count=8))
        assert ask("GET", "/api/treaties/web", MINE).json()["in_force"] == 1
        ask("POST", decide, THEIRS, {"version": 2, "decision": "accept"})
        no = ask("POST", decide, MINE, {"version": 2, "decision": "reject"})
        assert no.status_code == 422
        no = ask("POST", decide, MINE, {"version": 2, "decision": "reject", "reason": "too coarse"})
        assert no.json()["versions"][0]["state"] == "rejected"
        assert no.json()["in_force"] == 1
        ask("POST", "/api/treaties", MINE, draft(min_count=9))
        for prefix in (MINE, THEIRS):
            ask("POST", decide, prefix, {"version": 3, "decision": "accept"})
        shown = ask("GET", "/api/treaties?pack=small", THEIRS).json()["treaties"][0]
        assert shown["in_force"] == 3
        assert [v["state"] for v in shown["versions"]] == ["in_force", "rejected", "over"]
        # nobody below a side, and nobody without the door
        assert ask("GET", "/api/treaties", DEEP).json() == {"treaties": []}
        assert ask("GET", "/api/treaties/web", DEEP).status_code == 404
        viewer = client.get("/api/treaties", headers=home.as_("viewer", MINE))
        assert viewer.status_code == 403
        with home.engine.connect() as connection:
            steps = connection.execute(
                sa.text("select action from audit_entry where action like 'treaty.%' order by id")
            ).scalars()
            assert list(steps)[:3] == ["treaty.propose", "treaty.accept", "treaty.accept"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"sides": [MINE, "990000"]}, 422),
        ({"sides": [MINE, MINE]}, 422),
        ({"sides": [MINE, DEEP]}, 422),
        ({"kinds": ["overall"]}, 422),
        ({"kinds": []}, 422),
        ({"resolution": 9}, 422),
        ({"min_count": 1}, 422),
        ({"valid_to": "2024-01-01"}, 422),
        ({"note": "call 13812345678"}, 422),
        ({"side": THEIRS}, 403),
        ({"pack": "nowhere"}, 404),
    ],
)
def test_terms_that_make_no_sense(home: House, change: dict[str, Any], status: int) -> None:
    with home.app() as client:
        answer = client.post(
            "/api/treaties", headers=home.as_(OFFICER, MINE), json=draft(name="odd", **change)
        )
        assert answer.status_code == status, answer.text
        assert client.get("/api/treaties/odd", headers=home.as_("admin", None)).status_code == 404


def test_terms_are_read_strictly() -> None:
    body = TERMS.body()
    assert Terms.of(body) == TERMS
    assert Terms.of(json.loads(json.dumps(body))).digest == TERMS.digest
    for change in (
        {"sides": None}, {"periods": ["week"]}, {"periods": ["quarter", "week"]}, {"version": "x"},
        {"kinds": {"theft": {"resident": 0.4}}}, {"kinds": {"theft": "x"}}, {"valid_from": "soon"},
        {"name": "Ä"}, {"sides": ["33", "3301"]},
    ):  # fmt: skip
        with pytest.raises(Invalid):
            Terms.of({**body, **change})


def test_the_strictest_treaty_limits_what_crosses(engine: sa.Engine) -> None:
    install(engine)
    with transaction(engine) as connection:
        assert treaties.limits(connection, "small", [MINE, THEIRS], DAY) == (5, 8)
        treaties.propose(
            connection, "small", MINE, Terms.of({**TERMS.body(), "min_count": 12, "name": "a"})
        )
        treaties.decide(connection, "a", 1, MINE, "accept")
        assert treaties.limits(connection, "small", [MINE, THEIRS], DAY) == (5, 8)
        treaties.decide(connection, "a", 1, THEIRS, "accept")
        assert treaties.limits(connection, "small", [MINE, THEIRS], DAY) == (12, 6)
        assert treaties.limits(connection, "small", [MINE, "330103"], DAY) == (5, 8)


# packages ----------------------------------------------------------------------------------------
class Pair:
    """A sender and a receiver in one database after the other: two engines, two data folders."""

    def __init__(self, sender: sa.Engine, receiver: sa.Engine, folder: Path) -> None:
        self.sender, self.receiver = sender, receiver
        self.keys = {sender: folder / "sender", receiver: folder / "receiver"}
        for engine in (sender, receiver):
            install_sides(engine)
        self.agree(TERMS)

    def agree(self, terms: Terms) -> None:
        """Let both sides accept, each at home, told by signed files."""
        a, b = self.sender, self.receiver
        with transaction(a) as connection:
            number = treaties.propose(connection, "small", MINE, terms)
        for engine, side, other in ((a, MINE, b), (b, THEIRS, a)):
            with transaction(engine) as connection:
                public = treaty_keys.own_key(connection, self.keys[engine], side)[1]
                text = public.public_key().public_bytes_raw().hex()
            with transaction(other) as connection:
                if not treaty_keys.keys(connection, side):
                    treaty_keys.register(connection, side, text)
        treaty_terms.decide(a, self.keys[a], terms.name, number, MINE, "accept", "", DAY)
        self.send_terms(a, b, terms.name, number)
        treaty_terms.decide(b, self.keys[b], terms.name, number, THEIRS, "accept", "", DAY)
        self.send_terms(b, a, terms.name, number)

    @staticmethod
    def send_terms(a: sa.Engine, b: sa.Engine, name: str, number: int) -> list[str]:
        with a.connect() as connection:
            body = treaty_terms.document(connection, name, number, DAY)
        return treaty_terms.take_in(b, body, "small", DAY)

    def version(self, engine: sa.Engine) -> treaties.Version:
        with engine.connect() as connection:
            return treaties.in_force(connection, DAY, name="counties")

    def export(self) -> Package:
        return treaty_packages.export(
            self.sender, self.keys[self.sender], self.version(self.sender), MINE, on=DAY,
            zone="Asia/Shanghai",
        )  # fmt: skip

    def stored(self) -> int:
        with self.receiver.connect() as connection:
            found: int = connection.execute(
                sa.text("select count(*) from treaty_package")
            ).scalar_one()
        return found

    def sign(self, about: dict[str, Any], data: bytes) -> Package:
        """Sign anything with the sender's own key."""
        with transaction(self.sender) as connection:
            name, private = treaty_keys.own_key(connection, self.keys[self.sender], MINE)
        signed = treaties.canonical({**about, "key": name})
        return treaty_packages.parse(private.sign(signed).hex().encode() + b"\n" + signed, data)

    def refused(self, make: Any, reason: str, kind: type[WusetuError] = Invalid) -> str:
        before = self.stored()
        with pytest.raises(kind) as found:
            treaty_packages.take_in(self.receiver, make(), DAY)
        assert found.value.detail["reason"] == reason, found.value.message
        assert self.stored() == before
        return found.value.message


def install_sides(engine: sa.Engine) -> None:
    scatter(engine, install(engine))


@pytest.fixture(scope="module")
def pair(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    from app.database import make_engine

    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    names = [f"p_{secrets.token_hex(6)}" for _ in range(2)]
    with admin.connect() as connection:
        for name in names:
            connection.exec_driver_sql(
                f"create database {name} template {template} strategy file_copy"
            )
    engines = [make_engine(cluster.url(name)) for name in names]
    yield Pair(*engines, tmp_path_factory.mktemp("keys"))
    for engine in engines:
        engine.dispose()
    with admin.connect() as connection:
        for name in names:
            connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


def test_a_package_says_what_the_side_told_and_is_taken_once(pair: Pair, tmp_path: Path) -> None:
    one = pair.export()
    manifest, data = one.manifest, one.data
    path = treaty_packages.write_files(one, tmp_path)[1]
    read = treaty_packages.read_files(path)
    assert (read.manifest, read.data) == (manifest, data)
    import geopandas

    frame = geopandas.read_parquet(path.with_suffix(".parquet"))
    assert frame.crs.to_epsg() in {4326, None}
    counts = frame[frame.part == "count"]
    assert counts.events.min() >= 5
    assert set(counts.kind) <= {"theft", "fire", "homicide"}
    assert set(frame.columns) == set(treaty_files.SCHEMA.names)  # no unit, no point of an event
    assert treaty_packages.take_in(pair.receiver, read, DAY).terms == TERMS
    with pair.receiver.connect() as connection:
        told = treaty_packages.newest(connection, pair.version(pair.receiver), MINE)
    from app.services.treaty_side import tell_side

    own = tell_side(pair.sender, "small", MINE, TERMS, on=DAY, zone="Asia/Shanghai")
    assert told is not None
    assert told.digest() == own.digest()
    assert "before" in pair.refused(lambda: read, "replay", Conflict)
    later = pair.export()
    assert later.about["sequence"] == one.about["sequence"] + 1
    treaty_packages.take_in(pair.receiver, later, DAY)
    # signed anew with a number that was passed
    old = pair.sign({**one.about, "nonce": secrets.token_hex(16)}, data)
    assert "older" in pair.refused(lambda: old, "old", Conflict)


def test_every_altered_byte_is_noticed(pair: Pair) -> None:
    one = pair.export()
    size = len(one.manifest)
    for at in range(0, size, 7):
        changed = bytearray(one.manifest)
        changed[at] ^= 1
        before = pair.stored()
        with pytest.raises(Invalid):
            treaty_packages.take_in(
                pair.receiver, treaty_packages.parse(bytes(changed), one.data), DAY
            )
        assert pair.stored() == before
    for at in (0, 5, len(one.data) // 2, len(one.data) - 1):
        spoilt = bytearray(one.data)
        spoilt[at] ^= 1
        pair.refused(
            lambda body=bytes(spoilt): treaty_packages.parse(one.manifest, body), "altered"
        )
    pair.refused(lambda: treaty_packages.parse(one.manifest, one.data + b"\0"), "altered")
    treaty_packages.take_in(pair.receiver, one, DAY)


def test_foreign_and_retired_keys(pair: Pair, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    one = pair.export()
    stranger = Ed25519PrivateKey.generate()
    name = treaty_keys.key_id(stranger.public_key().public_bytes_raw())

    def forged(key: str, **more: Any) -> Package:
        signed = treaties.canonical({**one.about, "key": key, **more})
        return treaty_packages.parse(
            stranger.sign(signed).hex().encode() + b"\n" + signed, one.data
        )

    assert "not registered" in pair.refused(lambda: forged(name), "key")
    pair.refused(lambda: forged(one.about["key"]), "signature")
    with transaction(pair.receiver) as connection:
        own = next(k.key_id for k in treaty_keys.keys(connection, THEIRS))
    pair.refused(lambda: forged(own, side=THEIRS), "key")
    pair.refused(lambda: pair.sign({**one.about, "side": THEIRS}, one.data), "key")
    # rotated: the new key is told by hand, the old one is not taken any more
    with transaction(pair.sender) as connection:
        new = treaty_keys.rotate(connection, pair.keys[pair.sender], MINE)
    fresh = pair.export()
    assert fresh.about["key"] == new.key_id
    pair.refused(lambda: fresh, "key")
    with transaction(pair.receiver) as connection:
        treaty_keys.register(connection, MINE, new.public_key)
        treaty_keys.retire(connection, one.about["key"])
    assert "retired" in pair.refused(lambda: one, "key")
    treaty_packages.take_in(pair.receiver, fresh, DAY)
    folder = pair.keys[pair.sender] / "keys"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    # without its private key a side says so, and makes no other one in silence
    with transaction(pair.sender) as connection, pytest.raises(Conflict, match="rotate"):
        treaty_keys.own_key(connection, tmp_path, MINE)


def test_other_schemas_versions_and_terms(pair: Pair) -> None:
    one = pair.export()
    with pytest.raises(Invalid) as found:
        pair.sign({**one.about, "schema": "wusetu-treaty-package/2"}, one.data)
    assert found.value.detail["reason"] == "schema"
    for change, reason in (
        ({"treaty": "other"}, "treaty"), ({"version": 9}, "version"),
        ({"terms": "0" * 64}, "version"), ({"side": "330103"}, "treaty"),
    ):  # fmt: skip
        pair.refused(lambda change=change: pair.sign({**one.about, **change}, one.data), reason)
    for change in ({"sequence": 0}, {"sequence": True}, {"nonce": "x"}, {"cutoff": "x"},
                   {"made_at": "2024-01-01"}, {"rows": "1"}, {"periods": []}):  # fmt: skip
        with pytest.raises(Invalid) as found:
            pair.sign({**one.about, **change}, one.data)
        assert found.value.detail["reason"] == "malformed", change


def test_content_that_was_not_agreed_is_refused_though_signed(pair: Pair) -> None:
    import hashlib
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    one = pair.export()
    table = pq.read_table(io.BytesIO(one.data))
    rows = table.to_pylist()
    count = next(i for i, row in enumerate(rows) if row["part"] == "count")
    last = len(rows) - 1

    def made(change: Any, about: dict[str, Any] | None = None) -> Package:
        new = [dict(row) for row in rows]
        new = change(new) or new
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(new, schema=table.schema), out)
        body = out.getvalue()
        said = {
            **one.about, **(about or {}), "rows": len(new), "bytes": len(body),
            "nonce": secrets.token_hex(16), "sha256": hashlib.sha256(body).hexdigest(),
        }  # fmt: skip
        return pair.sign(said, body)

    def put(at: int, **values: Any) -> Any:
        return lambda new: new[at].update(values)

    for change, words in (
        (put(count, events=4), "below 5"),
        (put(count, events=None), "missing"),
        (put(count, kind="dispute"), "not agreed"),
        (put(count, start=date(2030, 1, 1)), "not agreed"),
        (put(count, period="month"), "not agreed"),
        (put(count, cell="872806fffffffff"), "resolutions 3 to 6"),
        (put(last, cell="86ffffffffffffff"[:15]), "the side does not have"),
        (put(count, cell="zz"), "no H3 index"),
        (put(count, part="event"), "neither"),
        (lambda new: [*new, new[count]], "once and in order"),
        (put(0, value=-1.0), "negative"),
        (put(0, value=float("inf")), "infinite"),
        (put(0, cell="872806fffffffff"), "not of resolution 6"),
        (put(0, cell="86ffffffffffff1"), "no H3 index"),
        (lambda new: new[1:], "not told once"),
    ):  # fmt: skip
        assert words in pair.refused(lambda c=change: made(c), "content")
    more = table.append_column("plate", pa.array(["x"] * len(table)))
    out = io.BytesIO()
    pq.write_table(more, out)
    body = out.getvalue()
    said = {**one.about, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    assert "columns" in pair.refused(lambda: pair.sign(said, body), "content")
    said = {**one.about, "bytes": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}
    assert "Parquet" in pair.refused(lambda: pair.sign(said, b"hello"), "content")
    pair.refused(lambda: made(lambda new: None, {"cutoff": "2030-01-01"}), "content")
    pair.refused(lambda: made(lambda new: None, {"periods": {"year": []}}), "content")
    treaty_packages.take_in(pair.receiver, made(lambda new: None), DAY)


def test_terms_travel_signed(pair: Pair) -> None:
    assert pair.send_terms(pair.sender, pair.receiver, "counties", 1) == []
    with pair.sender.connect() as connection:
        body = json.loads(treaty_terms.document(connection, "counties", 1, DAY))
    before = body["terms"]["min_count"]
    body["terms"]["min_count"] = 6
    with pytest.raises(Invalid, match="something else"):
        treaty_terms.take_in(pair.receiver, json.dumps(body).encode(), None, DAY)
    # a version nobody signed in these words
    body["terms"].update(version=2, min_count=before)
    with pytest.raises(Invalid) as found:
        treaty_terms.take_in(pair.receiver, json.dumps(body).encode(), None, DAY)
    assert found.value.detail["reason"] in {"signature", "key"}
    with pair.receiver.connect() as connection:
        assert len(treaties.versions(connection, DAY, name="counties")) == 1
    with pytest.raises(Conflict, match="its own"):
        treaty_terms.decide(
            pair.receiver, pair.keys[pair.receiver], "counties", 1, MINE, "accept", "", DAY
        )
    for odd in (b"", b"[]", b'{"decisions": []}', b'{"schema": "x", "decisions": []}', b"[" * 9999):
        with pytest.raises(Invalid):
            treaty_terms.take_in(pair.receiver, odd, None, DAY)
    with pytest.raises(NotFound):
        treaty_terms.decide(
            pair.receiver, pair.keys[pair.receiver], "counties", 7, THEIRS, "accept", "", DAY
        )
