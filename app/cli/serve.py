"""`wusetu serve`: the web server, with the private cluster under it when none is configured."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from app import settings as settings_module
from app.errors import Invalid, WusetuError
from app.security.hosts import is_loopback

#: Longer than any proxy keeps its pooled connections idle, so that it is never we who hang up.
KEEP_ALIVE_SECONDS = 75
#: Give up announcing a server that starts but cannot answer.
ANNOUNCE_SECONDS = 60


class PortTaken(WusetuError):
    """Another program listens on the port."""

    code = "port_taken"


@click.command()
@click.option("--host", help="Address to listen on (WUSETU_SERVER_HOST; 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port (WUSETU_SERVER_PORT; 8000).")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True,
              help="Processes that answer.")  # fmt: skip
@click.option("--migrate/--no-migrate", default=True, help="Bring the schema up to date first.")
@click.option("--sample", "samples", multiple=True, metavar="PACK",
              help="Load this sample pack first, as `wusetu sample load` does; may be repeated.")  # fmt: skip
@click.option("--check", is_flag=True, help="Only look at the port: 0 free, 4 served by us.")
@click.option("--lock", type=click.IntRange(3), hidden=True,
              help="File descriptor of a lock that ends with the loading.")  # fmt: skip
def command(
    *,
    host: str | None,
    port: int | None,
    workers: int,
    migrate: bool,
    samples: tuple[str, ...],
    check: bool,
    lock: int | None,
) -> None:
    """Serve the map until Ctrl-C; the last line printed is its address."""
    settings = settings_module.load()
    host = host or settings.server.host
    port = settings.server.port if port is None else port
    note = settings.data_dir / "server.json"
    _may_listen(settings, host)
    listening = _listen(host, port, note)
    if listening is None:
        click.echo(
            f"Wusetu is served already (Ctrl-C where it runs ends it):\n{_address(host, port)}"
        )
        raise SystemExit(4 if check else 0)
    with contextlib.closing(listening):
        if check:
            return
        _turn_signals_into_exits()
        with _database(settings, migrate) as url:
            if samples:
                _load(samples, workers)
            if lock is not None:
                with contextlib.suppress(OSError):
                    os.close(lock)
            if settings.access == "accounts":
                _let_the_first_admin_in(settings, url, listening)
            _serve(listening, workers, note, settings.server.grace_seconds)


def _load(samples: tuple[str, ...], workers: int) -> None:
    """Load sample packs in a process beside this one, which gets itself ready to answer meanwhile.

    Raises
    ------
    SystemExit
        They could not be loaded, the process has said why; 130: interrupted.
    """
    script = "from app.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", script, "sample", "load", *samples])  # noqa: S603 - our own command line
    try:
        if workers == 1:
            importlib.import_module("app.main")  # seconds; the loading is as long
        code = process.wait()
    except SystemExit:  # a signal, see `_turn_signals_into_exits`; Ctrl-C has reached both
        process.terminate()
        process.wait()
        code = 130
    if code:
        raise SystemExit(code)


def _may_listen(settings: settings_module.Settings, host: str) -> None:
    """Do nothing when the server may listen on an address.

    Raises
    ------
    Invalid
        Others could reach it, and nobody has to log in or nobody said by which address.
    """
    try:
        found = {place[4][0] for place in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)}
    except (socket.gaierror, UnicodeError):
        return  # `_listen` says so
    if all(is_loopback(str(one)) for one in found):
        return
    if settings.access == "single":
        raise Invalid(
            f"{host} can be reached from other machines, and nobody has to log in: "
            "set WUSETU_ACCESS=accounts, or listen on 127.0.0.1"
        )
    if settings.accounts.public_url is None:
        raise Invalid(
            f"{host} can be reached from other machines: say by which address people come, "
            "for example WUSETU_ACCOUNTS_PUBLIC_URL=https://map.example"
        )
    if not settings.accounts.public_url.startswith("https:"):
        click.echo("warning: passwords travel by http, not https: others may read them", err=True)


def _let_the_first_admin_in(
    settings: settings_module.Settings, url: str, listening: socket.socket
) -> None:
    """Print a one-time link while no admin can log in."""
    from app.database import make_engine, transaction
    from app.errors import Conflict
    from app.services.accounts import first_admin

    engine = make_engine(url, settings.database)
    try:
        with transaction(engine) as connection:
            link = first_admin(connection, settings.accounts.link_hours)
    except Conflict as error:
        click.echo(f"warning: {error.message}", err=True)
        return
    finally:
        engine.dispose()
    if link is not None:
        host, port = listening.getsockname()[:2]
        site = settings.accounts.public_url or _address(host, port).rstrip("/")
        click.echo(
            "Nobody can administer this yet. Set the password of the account `admin` "
            f"(once, until {link.expires_at:%Y-%m-%d %H:%M} UTC): "
            f"{site}/login#link={link.secret}"
        )


@contextlib.contextmanager
def _database(settings: settings_module.Settings, migrate: bool) -> Iterator[str]:
    """Have a migrated database while the block runs; the workers find its URL too."""
    from app import database

    cluster = guard = None
    try:
        if not settings.database.url:
            from app.cluster import Cluster
            from app.cluster_guard import Guard

            cluster = Cluster(settings.data_dir)
            url = database.resolve_url(settings)
            web = database.make_web_engine(url).url.render_as_string(hide_password=False)
            os.environ["WUSETU_DATABASE_URL"] = url  # the workers use it and start nothing
            os.environ["WUSETU_DATABASE_WEB_URL"] = web  # logging in as the role that owns nothing
            guard = Guard(cluster)
            guard.start()
        else:
            url = database.checked_url(settings.database.url)
        if migrate:
            database.require_answer(url)
            database.migrate(url)
        yield url
    finally:
        if cluster is not None:
            # A second Ctrl-C must not leave the cluster behind.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            if guard is not None:
                guard.stop()
            # Connections of an import in another terminal are not cut.
            if others := cluster.others(patience=3):
                click.echo(f"PostgreSQL is left running: {others} connection(s) use it", err=True)
            else:
                cluster.stop()


def _serve(listening: socket.socket, workers: int, note: Path, grace: int) -> None:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    host, port = listening.getsockname()[:2]
    config = uvicorn.Config(
        "app.main:application",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace,
        log_level="warning",
        access_log=False,
    )
    server = uvicorn.Server(config)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"pid": os.getpid(), "port": port}))
    threading.Thread(target=_announce, args=(host, port), daemon=True).start()
    try:
        if workers > 1:
            Multiprocess(config, sockets=[listening]).run()
        else:
            server.run(sockets=[listening])
    finally:
        note.unlink(missing_ok=True)
    if not server.started and workers == 1:
        sys.exit(1)


def _listen(host: str, port: int, note: Path) -> socket.socket | None:
    """Return a bound socket, or None when this project's own server has the port already.

    Raises
    ------
    PortTaken
        Another program has it.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise PortTaken(f"there is no address {host!r} to listen on") from error
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(place)
    except OSError as error:
        listening.close()
        if _ours(host, port, note):
            return None
        raise PortTaken(
            f"cannot listen on {host} port {port}: {error.strerror}; "
            f"use another one: make up PORT={port + 1 if 0 < port < 65535 else 8001}"
        ) from error
    listening.set_inheritable(True)
    return listening


def _ours(host: str, port: int, note: Path) -> bool:
    """Whether the server of this data folder is what answers on the port."""
    try:
        noted = json.loads(note.read_text())
        os.kill(int(noted["pid"]), 0)
    except PermissionError:
        pass  # it lives, and belongs to another user
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(noted.get("port") == port) and _health(host, port) is not None


def _health(host: str, port: int) -> Any:
    """Return the answer of `/api/health`, or None when no Wusetu answers."""
    request = urllib.request.Request(f"{_address(host, port)}api/health")  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()  # 503 with a body: it lives and says what is missing
        if error.code == 401 and b'"login_needed"' in body:
            return {"ok": True}  # it lives, and tells strangers nothing more
    except OSError:
        return None
    with contextlib.suppress(ValueError):
        found = json.loads(body)
        if isinstance(found, dict) and {"ok", "components"} <= found.keys():
            return found
    return None


def _announce(host: str, port: int) -> None:
    """Print the address once the server really answers."""
    begun = time.monotonic()
    while _health(host, port) is None:
        waited = time.monotonic() - begun
        if waited > ANNOUNCE_SECONDS:
            click.echo(f"{_address(host, port)} does not answer as it should; see above", err=True)
            return
        time.sleep(0.05 + waited / 10)
    click.echo(f"Wusetu is serving (Ctrl-C ends it):\n{_address(host, port)}")


def _address(host: str, port: int) -> str:
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}/"


def _turn_signals_into_exits() -> None:
    """Let SIGTERM and a closed terminal end us like Ctrl-C, through every `finally`.

    uvicorn takes SIGINT and SIGTERM while it serves, shuts down, then hands them on to these.
    """

    def leave(number: int, _: Any) -> None:
        raise SystemExit(0 if number in (signal.SIGINT, signal.SIGTERM) else 128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    # uvicorn would be killed by it: let it be a SIGTERM
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
