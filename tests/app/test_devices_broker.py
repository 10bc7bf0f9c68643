"""The broker's own doors: TLS with a certificate of our own authority, and the configuration that ships."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.database import make_engine
from app.errors import Invalid
from app.services.device_ingest import Ingest
from app.services.device_mqtt import Broker, Listener, client_for, parse_broker
from app.services.device_simulate import Sender
from app.settings import PROJECT, Settings

from .border_house import MINE, THEIRS
from .broker import Mosquitto, program
from .conftest import until
from .test_devices_mqtt import COUNT, Running, assert_stored_once, enter, send, settle

SHIPPED = PROJECT / "deploy" / "mosquitto"


# certificates -------------------------------------------------------------------------------------
def authority(folder: Path, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate authority; its certificate is `<name>.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    mine = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        _begun(mine, mine, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False, content_commitment=False, key_encipherment=False,
                data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
                encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return made, key


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    )  # fmt: skip


def certificate(
    folder: Path, name: str, by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey], address: str
) -> None:
    """Certificate of a server, or of a client, and its key: `<name>.crt`, `<name>.key`."""
    above, signing = by
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        _begun(subject, above.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
        )
        .sign(signing, hashes.SHA256())
    )  # fmt: skip
    (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )  # fmt: skip


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """Our authority with certificates of the broker and of a gateway, and a stranger's."""
    folder = tmp_path / "papers"
    folder.mkdir()
    ours = authority(folder, "ours")
    certificate(folder, "broker", ours, "127.0.0.1")
    certificate(folder, "gate", ours, "127.0.0.1")
    authority(folder, "stranger")
    return folder


@contextmanager
def started(broker: Mosquitto) -> Iterator[Mosquitto]:
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


def refused(broker: Broker) -> str:
    """Why a client cannot connect."""
    client = client_for(broker, "stranger", keep=False)
    why: list[str] = []
    done = threading.Event()

    def answered(_client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        why.append(str(reason))
        done.set()

    client.on_connect = answered
    try:
        client.connect(broker.host, broker.port)
    except OSError as error:
        return type(error).__name__
    client.loop_start()
    done.wait(30)
    client.loop_stop()
    return why[0] if why else "nothing"


# tests --------------------------------------------------------------------------------------------
def test_readings_come_by_tls(engine: sa.Engine, db_url: str, tmp_path: Path, papers: Path) -> None:
    """Both ends show a certificate of our authority; whoever shows another is not let in."""
    made = enter(engine)
    lines = [
        "allow_anonymous true", f"cafile {papers}/ours.pem", f"certfile {papers}/broker.crt",
        f"keyfile {papers}/broker.key", "require_certificate true",
    ]  # fmt: skip
    files: dict[str, Any] = {
        "ca": papers / "ours.pem", "certificate": papers / "gate.crt", "key": papers / "gate.key",
    }  # fmt: skip
    with started(Mosquitto(tmp_path / "broker", *lines, scheme="mqtts")) as broker:
        there = parse_broker(broker.url, **files)
        assert there.tls
        own = make_engine(db_url)
        told = threading.Event()
        one = Running(
            Listener(Ingest(own, Settings()), there, receipts=True, tell=lambda _: told.set())
        )
        try:
            assert told.wait(30)
            sender = Sender(there, "gate")
            assert sender.wait(30)
            send(sender, made, 0, 3)
            settle(sender)
            sender.close()
        finally:
            one.stop()
            own.dispose()
        assert_stored_once(engine, 3)
        # a broker our authority does not know, and plain words to a port that speaks TLS
        stranger = parse_broker(broker.url, ca=papers / "stranger.pem")
        assert refused(stranger) == "SSLCertVerificationError"
        assert refused(parse_broker(broker.url.replace("mqtts", "mqtt"))) != "Success"
    with pytest.raises(Invalid, match="TLS files cannot be used"):
        client_for(parse_broker("mqtts://x", ca=papers / "none.pem"), "x", keep=False)
    assert _stored(engine) == COUNT * 3


def _stored(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        found: int = connection.execute(sa.text("select count(*) from reading")).scalar_one()
    return found


def shipped(folder: Path) -> list[str]:
    """Lines of the configuration that ships, its files in a folder, with two users."""
    folder.mkdir(parents=True)
    passwords = folder / "passwords"
    path, more = program()
    tool = Path(path).with_name("mosquitto_passwd")
    if not tool.exists():
        tool = Path(path).parents[1] / "bin" / "mosquitto_passwd"
    for name in ("listener", MINE):
        create = ["-c"] if name == "listener" else []
        subprocess.run(
            [tool, "-b", *create, passwords, name, "a good secret"], check=True, env=more or None,
            capture_output=True,
        )  # fmt: skip
    (folder / "acl").write_text((SHIPPED / "acl").read_text())
    for file in folder.iterdir():
        file.chmod(0o600)
    kept = ("allow_anonymous", "password_file", "acl_file", "max_")
    return [
        line.replace("/mosquitto/config", str(folder))
        for line in (SHIPPED / "mosquitto.conf").read_text().splitlines()
        if line.startswith(kept) and not line.startswith("max_")
    ]


def test_the_broker_that_ships_keeps_sides_apart(
    engine: sa.Engine, db_url: str, tmp_path: Path
) -> None:
    made = enter(engine)
    lines = shipped(tmp_path / "config")
    assert len(lines) == 3
    with started(Mosquitto(tmp_path / "broker", *lines)) as broker:
        assert refused(parse_broker(broker.url)) != "Success"
        user = broker.url.replace("//", f"//{MINE}@")
        assert refused(parse_broker(user, "wrong")) != "Success"
        own = make_engine(db_url)
        told = threading.Event()
        listener = parse_broker(broker.url.replace("//", "//listener@"), "a good secret")
        one = Running(
            Listener(Ingest(own, Settings()), listener, receipts=True, tell=lambda _: told.set())
        )
        try:
            assert told.wait(30)
            sender = Sender(parse_broker(user, "a good secret"), "gate")
            assert sender.wait(30)
            # what another side's device would say is not passed on, and the gateway goes on
            body = f'{{"at": "{datetime.now(UTC).isoformat()}", "value": 1}}'
            done = sender._client.publish(f"wusetu/small/{THEIRS}/d-1", body, qos=1)
            done.wait_for_publish(30)
            send(sender, made, 0, 2)
            settle(sender)
            until(lambda: one.listener.counts.messages >= COUNT * 2)
            assert one.listener.counts.refused == {}
            sender.close()
        finally:
            one.stop()
            own.dispose()
    assert_stored_once(engine, 2)
