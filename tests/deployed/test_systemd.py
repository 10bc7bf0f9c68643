"""The service as the documentation sets it up, in a Debian of its own that systemd boots: no network but itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployed_place import copy_of_the_project, ran, told, until, wants_root, with_trust

pytestmark = pytest.mark.deployed
HERE = "tests/deployed/test_systemd.py"
PACKAGES = (
    "systemd systemd-sysv dbus sudo ca-certificates make curl openssl nginx postgresql-15-postgis-3"
)


class Machine:
    """A booted Debian; commands run in it as root."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
                 "--boot", "--directory", str(folder)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def leader(self) -> int:
        """Process id of its systemd as this machine counts; 0 before it is there."""
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = task.read_text().split() if task.exists() else []
        return int(found[-1]) if found else 0

    def answer(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nsenter", "--target", str(self.leader()), "--all", "env", "-i", "HOME=/root",
             "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
             "sh", "-c", f"cd /opt/wusetu && {line}"],
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=900,
        )  # fmt: skip

    def does(self, line: str) -> str:
        done = self.answer(line)
        journal = "" if done.returncode == 0 else self.answer("journalctl -n 60 --no-pager").stdout
        assert done.returncode == 0, (
            f"{line}\nended with {done.returncode}:\n{done.stdout}\n{journal}"
        )
        return done.stdout

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(60)


@pytest.fixture(scope="module")
def machine(debian: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    wants_root("systemd-nspawn", "nsenter")
    place = tmp_path_factory.mktemp("systemd")
    folder = place / "root"
    ran(["cp", "-a", str(debian), str(folder)])
    inside = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe",
              "--directory", str(folder), "--bind-ro=/etc/resolv.conf"]  # fmt: skip
    ran([*inside, "sh", "-c",
         f"apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {PACKAGES}"])  # fmt: skip
    copy_of_the_project(folder / "opt" / "wusetu")
    settings = [f"--setenv={name}={value}" for name, value in with_trust().items()]
    # the database is the machine's own: nothing is unpacked
    ran(
        [
            *inside,
            *settings,
            "--setenv=WUSETU_DATABASE_URL=later",
            "--chdir=/opt/wusetu",
            "make",
            "setup",
        ]
    )
    running = Machine(folder, place / "log")
    try:
        until(
            "the machine boots",
            lambda: bool(running.leader()) and running.answer("systemctl is-active multi-user.target").returncode == 0,
            300, running.said,
        )  # fmt: skip
        yield running
    finally:
        running.stop()


def test_the_service_is_set_up_as_told(machine: Machine) -> None:
    lines = told("deploy.md", HERE)
    assert any("systemctl enable" in line for line in lines)
    assert any("nginx -t" in line for line in lines)
    machine.does(
        "install -d /etc/ssl/wusetu && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=map.example"
        " -keyout /etc/ssl/wusetu/map.key -out /etc/ssl/wusetu/map.crt"
    )
    for line in lines:
        machine.does(line)
    health = "curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' "
    until(
        "the service answers",
        lambda: machine.answer(f"{health} http://127.0.0.1:8000/api/health").stdout == "401",
        300, lambda: machine.answer("journalctl -u wusetu -n 60 --no-pager").stdout,
    )  # fmt: skip
    assert (
        machine.does("systemctl is-enabled wusetu.service wusetu-backup.timer").split()
        == ["enabled"] * 2
    )
    through = "--insecure --resolve map.example:443:127.0.0.1 https://map.example/login"
    assert machine.does(f"{health} {through}") == "200"
    assert "Wusetu" in machine.does(f"curl --silent {through}")
    # it is the service's own user that runs it, with four workers, and writes nowhere but in its folder
    assert "wusetu" in machine.does("ps -o user= -p $(systemctl show -P MainPID wusetu)" if machine.answer("command -v ps").returncode == 0
                                    else "stat -c %U /proc/$(systemctl show -P MainPID wusetu)")  # fmt: skip


def test_the_first_link_is_in_the_journal(machine: Machine) -> None:
    lines = machine.does("journalctl -u wusetu --no-pager --output=cat")
    assert "https://map.example/login#link=" in lines, lines


def test_the_backup_of_the_night_is_made(machine: Machine) -> None:
    machine.does("systemctl start wusetu-backup.service")
    assert ".backup" in machine.does("ls /var/lib/wusetu-backup")
    listed = json.loads(machine.does("systemctl list-timers wusetu-backup.timer --output=json"))
    assert listed[0]["unit"] == "wusetu-backup.timer"


def test_killed_it_comes_back_and_stopped_it_ends(machine: Machine) -> None:
    before = machine.does("systemctl show -P MainPID wusetu").strip()
    machine.does("systemctl kill --signal=KILL wusetu")
    until(
        "the killed service is back",
        lambda: machine.answer(
            "curl --silent --output /dev/null --write-out '%{http_code}' http://127.0.0.1:8000/api/health"
        ).stdout == "401" and machine.does("systemctl show -P MainPID wusetu").strip() != before,
        300, lambda: machine.answer("journalctl -u wusetu -n 60 --no-pager").stdout,
    )  # fmt: skip
    machine.does("systemctl stop wusetu")
    assert machine.does("systemctl show -P Result wusetu").strip() == "success"
    assert "Failed with result" not in machine.does("journalctl -u wusetu -n 5 --no-pager")
