"""The loop told: days of the map's own time zone, no small counts to who may not see them, photos counted."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from app.api.task_models import TaskDraft
from app.errors import Conflict
from app.services import alert_words, loop, task_photos, tasks
from geo.alerts import LASTING, SINGLE, STEADY

from .border_house import MINE, House
from .conftest import until
from .task_house import DISPATCHER, WORKER, sent, spare_alert, tasked

VIEWER = "viewer"


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    yield from tasked(cluster, template, tmp_path_factory.mktemp("loop"))


@pytest.fixture(scope="module")
def client(home: House) -> Iterator[TestClient]:
    with home.app() as one:
        yield one


def get(client: TestClient, home: House, path: str, role: str) -> Any:
    answer = client.get(path, headers=home.as_(role, MINE))
    assert answer.status_code == 200, answer.text
    return answer.json()


def small_alert(home: House, observed: int) -> int:
    """An open alert of mine whose newest period has so few events, its sentence made as always."""
    said = alert_words.reason(
        "month", date(2025, 5, 1), numbers(observed), alert_words.Course(STEADY, STEADY, 2)
    )
    number = spare_alert(home)
    with home.engine.begin() as connection:
        connection.execute(
            sa.text(
                "update alert set observed = :o, reason_zh = :zh, reason_en = :en, "
                "version = version + 1 where id = :id"
            ),
            {"o": observed, "zh": said.zh, "en": said.en, "id": number},
        )
    return number


def numbers(observed: int, s: float = 12.3) -> alert_words.Numbers:
    return alert_words.Numbers(
        observed=observed, expected=1.2, theta=2.4, low=1.5, high=3.9, p=0.97, s=s + observed,
        x=5.0, steady=True, colour=4, check=False,
    )  # fmt: skip


# small numbers ------------------------------------------------------------------------------------
@given(
    observed=st.integers(0, 400), s=st.floats(0, 60),
    period=st.sampled_from(["month", "quarter", "year"]),
    fired=st.sampled_from([0, STEADY, SINGLE, LASTING, STEADY | SINGLE]), age=st.integers(0, 12),
)  # fmt: skip
def test_a_sentence_without_small_counts(
    observed: int, s: float, period: str, fired: int, age: int
) -> None:
    """Counts of 1 to 4 go, everything else stands, in every sentence there can be."""
    one = numbers(observed, s)
    said = alert_words.reason(
        period, date(2025, 4, 1), one, alert_words.Course(fired, fired or STEADY, age)
    )
    zh, en = alert_words.without_small(said.zh), alert_words.without_small(said.en)
    told = 0 < observed < 5
    assert ("发生不足5件" in zh) == told == ("fewer than 5 observed" in en)
    assert (f"发生{observed}件" in zh) == (not told) == (f" {observed} observed" in en)
    memory = re.search(r"此前记忆的(不足)?([\d.]+)件", zh)
    if memory and not memory[1]:
        assert float(memory[2]) >= 5
    if not told and (one.s - observed >= 5 or "记忆" not in said.zh):
        assert (zh, en) == (said.zh, said.en)
    assert "相对风险2.4" in zh
    assert "relative risk 2.4" in en
    closed = alert_words.closing(period, date(2025, 4, 1), one)
    assert ("不足5件" in alert_words.without_small(closed)) == told


@pytest.mark.parametrize("role", [VIEWER, WORKER])
def test_small_counts_of_alerts_are_not_told(client: TestClient, home: House, role: str) -> None:
    few = small_alert(home, 3)
    for address in (f"/api/alerts/{few}", "/api/alerts?pack=small&limit=2000"):
        answer = get(client, home, address, role)
        one = next(each for each in answer.get("alerts", [answer]) if each["id"] == few)
        assert (one["observed"], one["observed_text"]) == (None, "<5")
        assert "发生不足5件" in one["reason"]["zh"]
        assert "fewer than 5 observed" in one["reason"]["en"]
    told = get(client, home, f"/api/alerts/{few}", DISPATCHER)
    assert (told["observed"], told["observed_text"]) == (3, "3")
    assert "发生3件" in told["reason"]["zh"]


def test_small_counts_of_tasks_are_not_told(client: TestClient, home: House) -> None:
    small_alert(home, 4)
    number = sent(client, home)["id"]
    for address in (f"/api/tasks/{number}", "/api/tasks?pack=small"):
        answer = get(client, home, address, WORKER)
        one = next(each for each in answer.get("tasks", [answer]) if each["id"] == number)
        assert "发生不足5件" in one["reason"]["zh"]
    assert "发生4件" in get(client, home, f"/api/tasks/{number}", DISPATCHER)["reason"]["zh"]


@pytest.mark.parametrize(
    ("o0", "o1", "before", "after"),
    [(40, 3, 40, None), (2, 30, None, 30), (0, 9, 0, 9), (30, 12, 30, 12)],
)
def test_the_effect_tells_no_small_count(
    o0: int, o1: int, before: int | None, after: int | None
) -> None:
    row: Any = SimpleNamespace(tasks=3, o0=o0, e0=10.0, o1=o1, e1=10.0)
    told, whole = loop._effect(row, small=False), loop._effect(row, small=True)
    assert (told.before, told.after) == (before, after)
    assert (whole.before, whole.after) == (o0, o1)
    assert whole.low is not None
    gone = None in (before, after)
    assert (told.ratio, told.low, told.high) == (
        (None, None, None) if gone else (whole.ratio, whole.low, whole.high)
    )


# days ---------------------------------------------------------------------------------------------
def test_days_are_those_of_the_map(client: TestClient, home: House) -> None:
    """One in the morning of 1 July in Shanghai is 30 June in UTC."""
    made = datetime(2024, 6, 30, 17, 0, tzinfo=UTC)
    with home.engine.begin() as connection:
        tasks.make(connection, TaskDraft(alert=spare_alert(home)), made=made)
    for first, last, number in (("06-30", "07-01", 0), ("07-01", "07-02", 1)):
        body = get(client, home, f"/api/loop?pack=small&from=2024-{first}&to=2024-{last}", WORKER)
        assert (body["tasks"], body["time_zone"]) == (number, "Asia/Shanghai")
    nothing = get(client, home, "/api/loop?pack=nowhere", WORKER)
    assert (nothing["tasks"], nothing["time_zone"]) == (0, "Asia/Shanghai")


# photos -------------------------------------------------------------------------------------------
def photo() -> task_photos.Form:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG")
    return task_photos.Form(uuid4(), out.getvalue())


def test_two_photos_at_one_moment_do_not_pass_the_limit(client: TestClient, home: House) -> None:
    number = sent(client, home)["id"]
    with home.engine.begin() as connection:
        for _ in range(task_photos.MOST_PHOTOS - 1):
            task_photos.add(connection, number, photo())
    refused: list[str] = []

    def second() -> None:
        try:
            with home.engine.begin() as connection:
                task_photos.add(connection, number, photo())
        except Conflict as error:
            refused.append(error.message)

    other = threading.Thread(target=second)
    with home.engine.begin() as connection:
        task_photos.add(connection, number, photo())  # the last there is room for, not yet written
        other.start()
        until(lambda: not other.is_alive() or waiting(home) > 0)
    other.join()
    assert refused == ["a task has at most 12 photos"]
    with home.engine.connect() as connection:
        assert connection.execute(
            sa.text("select count(*) from task_photo where task_id = :id"), {"id": number}
        ).scalar_one() == task_photos.MOST_PHOTOS  # fmt: skip


def waiting(home: House) -> int:
    """Who waits for a lock of the project's own."""
    with home.engine.connect() as connection:
        found: int = connection.execute(
            sa.text(
                "select count(*) from pg_locks where locktype = 'advisory' and not granted and "
                "database = (select oid from pg_database where datname = current_database())"
            )
        ).scalar_one()
    return found


@given(whole=st.integers(1, 5000), data=st.data())
def test_intervals_are_those_of_scipy(whole: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, whole))
    share = loop.proportion(part, whole)
    between = stats.binomtest(part, whole).proportion_ci(loop.CONFIDENCE, method="wilson")
    assert (share.low, share.high) == pytest.approx((between.low, between.high), abs=1e-12)
    # of the numbers 0, 1, ..., n - 1 the k-th smallest and the k-th greatest
    middle = loop.median(range(whole))
    k = int(stats.binom.ppf((1 - loop.CONFIDENCE) / 2, whole, 0.5))
    assert (middle.low, middle.high) == ((k - 1, whole - k) if k else (None, None))
