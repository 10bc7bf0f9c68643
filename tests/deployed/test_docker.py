"""The containers of docker-compose.yml, built and run as the documentation says.

Where no image registry is reached, the base images are made of Debian's packages (`images/`), so what
is tried is our own Dockerfile, compose file and scripts; which database it was is printed.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deployed_place import RELEASE, copy_of_the_project, ran, told, until, wants_root, with_trust
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

pytestmark = pytest.mark.deployed
HERE = "tests/deployed/test_docker.py"
IMAGES = Path(__file__).parent / "images"
DATABASE, BROKER = "postgis/postgis:17-3.5", "eclipse-mosquitto:2.0.20"
SECRET = "only-for-this-test"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment in which `docker` reaches an engine: the machine's, or one of our own."""
    wants_root("docker")
    # the classic builder: what an engine without network has too
    environment = {**os.environ, "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0")}
    if subprocess.run(
        ["docker", "compose", "version"], check=False, capture_output=True
    ).returncode:
        pytest.skip("docker compose is not here")
    if subprocess.run(["docker", "info"], check=False, capture_output=True).returncode == 0:
        yield environment
        return
    wants_root("dockerd", "iptables")
    place = tmp_path_factory.mktemp("docker")
    with (place / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["dockerd", "--data-root", str(place / "data"), "--exec-root", str(place / "run"),
             "--pidfile", str(place / "pid"), "--host", f"unix://{place}/socket"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    environment["DOCKER_HOST"] = f"unix://{place}/socket"
    try:
        until(
            "the engine answers",
            lambda: subprocess.run(["docker", "info"], check=False, capture_output=True, env=environment).returncode == 0,
            60, (place / "log").read_text,
        )  # fmt: skip
        yield environment
    finally:
        daemon.terminate()
        daemon.wait(60)
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def images(engine: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    """The images we build on: from their registry, or made here."""
    base = f"debian:{RELEASE}-slim"

    def there(image: str) -> bool:
        known = ["docker", "image", "inspect", image]
        if subprocess.run(known, check=False, capture_output=True, env=engine).returncode == 0:
            return True
        pull = subprocess.run(
            ["docker", "pull", "--quiet", image], check=False, capture_output=True, env=engine
        )
        return pull.returncode == 0

    if not there(base):
        root = request.getfixturevalue("debian")
        settings = [
            part
            for name, value in with_trust().items()
            for part in ("--change", f"ENV {name}={value}")
        ]
        archive = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
        ran(
            ["docker", "import", *settings, "--change", 'CMD ["bash"]', "-", base],
            stdin=archive.stdout,
            env=engine,
        )
        assert archive.wait() == 0
    for image, folder in ((DATABASE, "postgis"), (BROKER, "mosquitto")):
        if not there(image):
            print(f"{image}: Debian's packages stand in for it")
            ran(["docker", "build", "--tag", image, str(IMAGES / folder)], env=engine)
    return engine


class Containers:
    """The project in a folder of its own, and its containers."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.port, self.mqtt = free_port(), free_port()
        environment.update(
            COMPOSE_PROJECT_NAME="wusetu-tried",
            WUSETU_SERVER_PORT=str(self.port), WUSETU_MQTT_PORT=str(self.mqtt),
        )  # fmt: skip

    def does(self, line: str, timeout: float = 1800) -> str:
        return ran(["sh", "-c", line], cwd=self.folder, env=self.environment, timeout=timeout)

    def state(self, service: str) -> str:
        said = self.does(
            f"docker compose --profile devices ps --all --format json {service}"
        ).strip()
        return "" if not said else str(json.loads(said.splitlines()[0]).get("Health", ""))

    def healthy(self, service: str, seconds: float) -> None:
        logs = f"docker compose --profile devices logs {service}"
        until(
            f"{service} is healthy",
            lambda: self.state(service) == "healthy",
            seconds,
            lambda: self.does(logs),
        )


@pytest.fixture(scope="module")
def containers(
    images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Containers]:
    running = Containers(copy_of_the_project(tmp_path_factory.mktemp("project")), dict(images))
    try:
        yield running
    finally:
        running.does("docker compose --profile devices down --volumes --timeout 40")


def test_without_a_password_nothing_starts(containers: Containers) -> None:
    containers.does("cp .env.example .env")
    done = subprocess.run(
        ["docker", "compose", "up"], check=False, capture_output=True, text=True,
        cwd=containers.folder, env=containers.environment,
    )  # fmt: skip
    assert done.returncode != 0
    assert "POSTGRES_PASSWORD" in done.stderr


def test_the_commands_of_the_page_bring_the_map_up(containers: Containers) -> None:
    copy, up = told("deploy.md", HERE)
    assert (copy, up) == ("cp .env.example .env", "docker compose up --build")
    containers.does(copy)
    settings = containers.folder / ".env"
    settings.write_text(
        settings.read_text().replace("POSTGRES_PASSWORD=", f"POSTGRES_PASSWORD={SECRET}")
    )
    log = containers.folder.parent / "up.log"
    with log.open("wb") as out:
        running = subprocess.Popen(
            up.split(),
            cwd=containers.folder,
            env=containers.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        until("the containers are made", lambda: bool(containers.does("docker compose ps --quiet app").strip())
              or running.poll() is not None, 1800, log.read_text)  # fmt: skip
        assert running.poll() is None, log.read_text()[-8000:]
        containers.healthy("app", 1800)
    finally:
        running.terminate()  # as Ctrl-C does: the containers stop, and stay
        running.wait(90)
    logs = containers.does("docker compose logs app")
    assert f"http://127.0.0.1:{containers.port}/login#link=" in logs, (
        "the first link has the port people type"
    )
    assert "Traceback" not in logs

    containers.does("docker compose up --detach")  # the second time: the sample is there
    containers.healthy("app", 300)
    here = f"http://127.0.0.1:{containers.port}"
    with urllib.request.urlopen(f"{here}/login", timeout=10) as page:
        assert b"Wusetu" in page.read()
    with urllib.request.urlopen(f"{here}/docs/", timeout=10) as page:
        assert page.status == 200
    with pytest.raises(urllib.error.HTTPError) as refused:  # everyone logs in
        urllib.request.urlopen(f"{here}/api/maps", timeout=10)
    assert refused.value.code in {401, 404}
    # nobody but this machine reaches it
    assert containers.does("docker compose port app 8000").strip() == f"127.0.0.1:{containers.port}"
    who = containers.does("docker compose exec -T app id --user").strip()
    assert who == "10001"


def _types(command: list[str], answers: str, containers: Containers) -> None:
    """Run a command that asks at a terminal, and answer it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=containers.folder,
        env=containers.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    for _ in range(2):  # the password and once more
        while b"assword: " not in said:
            said += os.read(ours, 1024)
        said = b""
        os.write(ours, answers.encode())
    # what is left is read so that it never waits for us
    drain = threading.Thread(target=_drain, args=(ours,), daemon=True)
    drain.start()
    assert process.wait(60) == 0


def _drain(ours: int) -> None:
    try:
        while os.read(ours, 1024):
            pass
    except OSError:  # the other end is closed
        pass


def test_devices_speak_to_the_broker_in_its_container(containers: Containers) -> None:
    for line in told("devices.md", HERE):
        if " -it " in line:
            _types(line.split("#")[0].split(), f"{SECRET}\n", containers)
        else:
            containers.does(line.replace("a good secret", SECRET))
    containers.does("docker compose --profile devices up --detach")
    containers.healthy("broker", 120)
    containers.healthy("listener", 300)

    device = containers.does(
        "docker compose exec -T database psql --host /run/postgresql --username wusetu --tuples-only --no-align --command"
        " \"select reference from device where pack = 'alliance' and side = '3308' and kind = 'smoke' limit 1\""
    ).strip()
    assert device

    heard: list[bytes] = []
    came = threading.Event()

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        heard.append(message.payload)
        came.set()

    gateway = Client(CallbackAPIVersion.VERSION2)
    gateway.username_pw_set("3308", SECRET)
    gateway.on_message = on_message
    gateway.connect("127.0.0.1", containers.mqtt)
    gateway.subscribe("wusetu-stored/alliance/3308/#", qos=1)
    gateway.loop_start()
    reading = json.dumps({"at": datetime.now(UTC).isoformat(), "seq": 0, "value": 1.5})
    try:
        until(
            "a receipt",
            lambda: bool(gateway.publish(f"wusetu/alliance/3308/{device}", reading, qos=1)) and came.wait(5),
            120, lambda: containers.does("docker compose --profile devices logs broker listener"),
        )  # fmt: skip
    finally:
        gateway.disconnect()
        gateway.loop_stop()
    assert json.loads(heard[0])[0][1:] == [0, "ok"]
