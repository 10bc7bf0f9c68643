"""The monthly brief: every number in its text is in an answer of the API, and nothing else is."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from fastapi.testclient import TestClient
from pypdf import PdfReader

from app.api.brief_models import Brief, BriefFact
from app.api.task_models import Alert, AlertTask, TaskState
from app.cli.brief import command
from app.database import make_engine, transaction
from app.errors import Invalid
from app.main import create_app
from app.security.identity import Role
from app.services import accounts, accounts_tokens, brief_done, brief_scenes
from app.services import brief_say as say
from app.services.assess import assess
from app.services.brief_facts import Facts
from app.services.scene_parts import Sentence
from app.services.scenes import load_scene
from app.settings import DatabaseSettings, Settings

from .conftest import HOT, install, settings_for

BRIEF = "/api/packs/small/brief"
DIGITS = re.compile(r"\d[\d,]*(?:\.\d+)?")
#: Units of the small map have numbers in their names.
NAMES = re.compile(r"(小城市|区|镇|村|网格|City |County |Town |Village |Grid )\d{3}")
#: Of the method, not of the data.
METHOD = {"95", "90", "5"}


@dataclass
class House:
    """The small map, assessed, in a database of its own: briefs are kept in it."""

    url: str
    engine: sa.Engine
    data_dir: Path
    client: TestClient


@pytest.fixture(scope="module")
def house(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"b_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    url = cluster.url(name)
    engine = make_engine(url)
    install(engine)
    assess(engine, "small", "nine-kinds", zone="Asia/Shanghai")
    data_dir = tmp_path_factory.mktemp("brief")
    with TestClient(create_app(settings_for(url, data_dir=data_dir))) as client:
        yield House(url, engine, data_dir, client)
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


def get(client: TestClient, address: str, **more: Any) -> Any:
    answer = client.get(address, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def brief_of(client: TestClient, **asked: Any) -> Brief:
    return Brief.model_validate(get(client, BRIEF, params=asked)["brief"])


class Reader:
    """Looks numbers up where a brief says they stand."""

    def __init__(self, client: TestClient, headers: dict[str, str] | None = None) -> None:
        self.client, self.headers = client, headers or {}
        self.known: dict[str, Any] = {}

    def at(self, address: str) -> Any:
        """Value at an address with a JSON pointer."""
        base, _, pointer = address.partition("#")
        if base not in self.known:
            self.known[base] = get(self.client, base, headers=self.headers)
        found = self.known[base]
        for step in pointer.split("/")[1:]:
            found = found[int(step)] if isinstance(found, list) else found[step]
        return found

    def value(self, one: BriefFact) -> Any:
        """Calculate a fact anew."""
        if one.how == "value":
            assert one.address is not None
            return self.at(one.address)
        parts = [self.at(address) for address in one.of]
        return {"sum": sum, "count": len}[one.how](parts)  # type: ignore[operator]


def printed(one: BriefFact, value: Any) -> set[str]:
    """Every way a number may be printed in."""
    if value is None:
        return {"∞"}
    if isinstance(value, str):
        return {one.text.zh}
    return {
        make(value)
        for make in (say.count, say.expected, say.ratio, say.end, say.signed, say.percent, str)
    } | {f"{value:.1f}", say.count(abs(value))}


def check(brief: Brief, reader: Reader) -> int:
    """Recompute every number of every sentence; how many there were."""
    seen = 0
    for section in brief.sections:
        for one in section.sentences:
            for lang in ("zh", "en"):
                text = left = NAMES.sub("", getattr(one.text, lang))
                for fact in one.facts:
                    shown = getattr(fact.text, lang)
                    if fact.slot == "basis":  # it rests on it without printing it
                        continue
                    if fact.how == "count" and shown not in left:
                        assert one.id == "steady"  # the ratios that told them apart
                    # capitals at the beginning of an English sentence
                    assert shown.lower() in text.lower(), (one.id, shown, text)
                    left = re.sub(re.escape(shown), " ", left, count=1, flags=re.IGNORECASE)
                for number in DIGITS.findall(left):
                    assert number in METHOD, f"{number!r} of nowhere: {text}"
            for fact in one.facts:
                if fact.how == "rule":
                    continue
                if fact.value is None and fact.text.zh in {"<5", "…"}:
                    continue
                found = reader.value(fact)
                assert found == fact.value, (one.id, fact)
                if not isinstance(found, str):
                    assert fact.text.zh in printed(fact, found), (one.id, fact)
                seen += 1
    for figure in brief.figures:
        assert reader.value(figure.fact) == figure.fact.value
    for table in brief.tables:
        for row in table.rows:
            why, rank = reader.at(f"{row.address}#"), reader.at(row.rank_address)
            assert row.colour == why["colour"] == rank["colour"]
            assert (row.rank, row.rank_low, row.rank_high) == (
                rank["rank"],
                rank["low"],
                rank["high"],
            )
            assert (row.theta, row.observed) == (why["estimate"]["theta"], why["observed"])
    return seen


@pytest.mark.parametrize("asked", [{}, {"month": "2023-04"}, {"within": "330102"}, {"within": HOT}, {"ord": 0}])  # fmt: skip
def test_every_number_is_in_an_answer_of_the_api(house: House, asked: dict[str, Any]) -> None:
    brief = brief_of(house.client, **asked)
    assert [one.id for one in brief.sections] == ["summary", "rose", "where", "why", "done", "data"]
    assert all(one.sentences for one in brief.sections)
    assert check(brief, Reader(house.client)) > 15


def test_it_tells_the_planted_risk_and_why(house: House) -> None:
    brief = brief_of(house.client, within=HOT[:-3], month="2024-10")
    text = {one.id: " ".join(s.text.zh for s in one.sentences) for one in brief.sections}
    name = next(row.name.zh for row in brief.tables[0].rows if row.code == HOT)
    assert f"{name}为红" in text["where"] or f"{name}仍为红" in text["where"]
    assert f"{name}：高出预期主要来自偷盗" in text["why"]
    assert brief.map.colours[HOT] == "red"
    # a rise is said where the interval leaves out 1, and there only
    for kind in brief.kinds:
        for change in (kind.last_year, kind.previous):
            if change and change.ratio is not None and change.low is not None:
                assert (change.which == "more") == (change.low > 1)
                assert (change.which == "less") == (change.high is not None and change.high < 1)


def test_a_task_that_was_declined_is_not_done() -> None:
    tasks = [
        AlertTask(id=n, state=state, overdue=False)
        for n, state in enumerate(get_args(TaskState), start=1)
    ]
    alert = Alert.model_construct(id=7, answer=None, tasks=tasks)
    (said,) = brief_done._tasks(say.templates(), [alert])
    told = {one.slot: one for one in said.facts}
    assert told["count"].value == len(tasks) == 8
    done = {tasks[int(one.split("/")[-2])].state for one in told["closed"].of}
    assert done == {"verified", "closed", "merged"}
    assert told["open"].value == 5


def test_digits_that_are_cut_off_are_cut_off_of_the_month_before_too() -> None:
    """8,528 of 8,881 firms are 96.0252 %: whatever is printed of it is not rounded up."""
    scene = load_scene("finance-health")
    change = {"value": 96.0287, "ratio": 1.0, "low": 0.9, "high": 1.1}
    row = {
        "code": "330101", "name": "区", "name_en": None, "indicator": "health_share",
        "printed": "96.02", "change": {"previous": change},
    }  # fmt: skip
    facts = Facts.__new__(Facts)
    facts._answers = {"/x": {"rows": [row]}, "/m": {"start": "2025-06-01"}}
    facts.scope_name, facts.main, facts.month_name = say.plain("区"), "/m", ("六月", "June")
    facts.span = SimpleNamespace(start=date(2025, 6, 1))  # type: ignore[assignment]
    run = SimpleNamespace(scene=scene, pack="small")
    sentence = Sentence(about="rise", zh="{unit}{previous}", en="{unit} {previous}")
    (made,) = brief_scenes._say(facts, run, "/x", sentence, 0)  # type: ignore[arg-type]
    assert made.text.zh == "区96.02%"


def test_a_month_without_a_past_says_so(house: House) -> None:
    brief = brief_of(house.client, ord=0)
    rose = next(one for one in brief.sections if one.id == "rose")
    assert [one.id for one in rose.sentences] == ["no_past"]
    assert all(one.last_year is None and one.previous is None for one in brief.kinds)


def numbers(brief: Brief) -> list[tuple[str, Any]]:
    return [
        (f.address or "", f.value) for s in brief.sections for o in s.sentences for f in o.facts
    ]


def test_small_numbers_are_kept_from_roles_that_do_not_see_records(house: House) -> None:
    settings = Settings(
        access="accounts",
        database=DatabaseSettings(url=house.url, pool_size=2),
        data_dir=house.data_dir,
    )
    tokens = {}
    with transaction(house.engine) as connection:
        for role in (Role.viewer, Role.analyst):
            made = accounts.create(
                connection, f"brief-{role}", role, kind="program", prefixes=["330102"]
            )
            _, tokens[role] = accounts_tokens.create(
                connection, account=made.id, title="brief", scopes=["see_map"] if role is Role.viewer
                else ["see_map", "see_records"], days=1, longest=1,
            )  # fmt: skip
    with TestClient(create_app(settings)) as client:
        seen = {}
        for role, token in tokens.items():
            headers = {"Authorization": f"Bearer {token}"}
            asked = {"month": "2024-03", "within": HOT[:-3]}
            seen[role] = Brief.model_validate(
                get(client, BRIEF, params=asked, headers=headers)["brief"]
            )
            check_headers = Reader(client, headers)
            if role is Role.analyst:
                assert check(seen[role], check_headers) > 5
            assert client.get(f"{BRIEF}?within=330101", headers=headers).status_code == 404
            document = client.get(
                f"{BRIEF}?format=html&month=2024-03&within={HOT[:-3]}", headers=headers
            )
            assert document.status_code == 200
            kept = get(client, "/api/packs/small/briefs", headers=headers)
            # one's own wordings, not those of the other role
            assert [(one["scope"], one["version"]) for one in kept] == [(HOT[:-3], 1)]
    hidden, shown = seen[Role.viewer], seen[Role.analyst]
    assert (hidden.small_numbers, shown.small_numbers) == ("hidden", "shown")
    every = [value for _, value in numbers(shown) if isinstance(value, int)]
    assert any(0 < value < 5 for value in every)
    counts = ("/observed", "/kinds/")
    for address, value in numbers(hidden):
        pointer = address.partition("#")[2]
        if pointer.endswith("/observed") and isinstance(value, int):
            assert not 0 < value < 5, (address, counts)
    assert any(row.observed_text in {"<5", "…"} for row in hidden.tables[0].rows)
    for row in hidden.tables[0].rows:
        if row.observed is None:
            assert row.theta is None
    told = {one.kind: one.observed_text for one in hidden.kinds}
    total = [text for text in told.values() if text in {"<5", "…"}]
    assert len(total) != 1  # of one hidden number alone the total would tell it


def test_documents_say_the_same_and_where_it_stands(house: House) -> None:
    brief = brief_of(house.client, month="2024-10")
    body = house.client.get(BRIEF, params={"month": "2024-10", "format": "html"})
    assert body.headers["content-type"].startswith("text/html")
    assert "attachment" in body.headers["content-disposition"]
    page = body.text
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)=["'](?!#|http://testserver)""", page)
    for section in brief.sections:
        for one in section.sentences:
            assert one.text.zh.replace('"', "&#34;").replace("<", "&lt;") in page
            for fact in one.facts:
                for address in [fact.address] if fact.address else fact.of:
                    assert str(address).replace("&", "&amp;") in page
    number = len(re.findall(r'<li id="s\d+"', page))
    assert number == sum(bool(o.facts) for s in brief.sections for o in s.sentences)
    assert set(re.findall(r'href="#s(\d+)"', page)) == {str(n) for n in range(1, number + 1)}


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_pdf_opens_and_has_every_sentence(house: House, lang: str) -> None:
    asked = {"month": "2024-10", "format": "pdf", "lang": lang}
    answer = house.client.get(BRIEF, params=asked)
    if answer.status_code == 503:
        pytest.skip(answer.json()["message"])
    assert answer.headers["content-type"] == "application/pdf"
    read = PdfReader(io.BytesIO(answer.content))
    assert 2 <= len(read.pages) <= 8
    text = re.sub(r"\s", "", "".join(page.extract_text() for page in read.pages))
    brief = brief_of(house.client, month="2024-10")
    for section in brief.sections:
        for one in section.sentences:
            # the number of its source follows at once, so only its parts are whole
            for part in re.split(r"[，、；：,;:（）() ]+", getattr(one.text, lang)):
                assert part.strip("。.") in text or not part, (part, one.text)
    assert brief.tables[0].rows[0].address in text
    kept = get(house.client, "/api/packs/small/briefs")[0]
    assert kept["digest"][:12] in text


def test_wordings_are_kept_once_and_found_again(house: House) -> None:
    asked = {"month": "2024-08", "format": "html"}
    before = get(house.client, BRIEF, params={"month": "2024-08"})
    assert before["kept"] is None
    for _ in range(2):
        assert house.client.get(BRIEF, params=asked).status_code == 200
    kept = [
        one for one in get(house.client, "/api/packs/small/briefs") if one["month"] == "2024-08-01"
    ]
    assert [one["version"] for one in kept] == [1]
    after = get(house.client, BRIEF, params={"month": "2024-08"})
    assert after["kept"] == kept[0]
    assert after["digest"] == before["digest"] == kept[0]["digest"]
    # another wording, as another run makes it
    with house.engine.begin() as connection:
        connection.execute(
            sa.text("update brief_version set digest = :none where month = '2024-08-01'"),
            {"none": "0" * 64},
        )
    again = house.client.get(BRIEF, params=asked)
    assert "v2.html" in again.headers["content-disposition"]
    old = get(house.client, BRIEF, params={"month": "2024-08", "version": 1})
    assert old["brief"] == before["brief"]
    assert old["kept"] is None  # its digest was made another
    refused = house.client.get(BRIEF, params={"month": "2024-08", "version": 9})
    assert refused.status_code == 404


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"month": "2024-13"}, 422), ({"month": "0000-01"}, 422), ({"month": "2031-01"}, 404),
        ({"ord": 900}, 404), ({"within": "339999"}, 404), ({"run": 77}, 404),
        ({"month": "2024-01", "ord": 3}, 422), ({"version": 1}, 422), ({"format": "docx"}, 422),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(house: House, asked: dict[str, Any], status: int) -> None:
    answer = house.client.get(BRIEF, params=asked)
    assert answer.status_code == status
    assert answer.json()["message"]


def test_it_is_audited(house: House) -> None:
    get(house.client, BRIEF, params={"month": "2024-05", "purpose": "例会"})
    with house.engine.connect() as connection:
        row = connection.execute(
            sa.text("select action, question, row_count, purpose from audit_entry order by id desc limit 1")
        ).one()  # fmt: skip
    assert (row.action, row.purpose) == ("export", "例会")
    assert row.question["month"] == "2024-05"
    assert row.row_count > 10


def test_the_command_writes_the_same_file(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("WUSETU_DATABASE_URL", house.url)
    monkeypatch.setenv("WUSETU_DATA_DIR", str(house.data_dir))
    file = tmp_path / "brief.json"
    asked = ["--pack", "small", "--month", "2024-06", "--format", "json", "--output", str(file)]
    done = CliRunner().invoke(command, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert json.loads(file.read_text())["brief"] == brief_of(house.client, month="2024-06").model_dump(mode="json")  # fmt: skip
    wrong = CliRunner().invoke(command, ["--pack", "small", "--month", "2024-6x"])
    assert wrong.exit_code == 2
    assert "2024-05" in wrong.output


# templates ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"run": {"zh": "a"}}, "en is missing"),
        ({"run": {"zh": "第 3 次", "en": "third"}}, "a digit of its own"),
        ({"run": {"zh": "{run}", "en": "x"}}, "'run' is not in both"),
        ({"run": {"zh": "{run", "en": "{run"}}, "expected '}'"),
        ({"run": []}, "zh is missing"),
        ([], "mapping"),
    ],
)
def test_a_broken_template_is_named(body: Any, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        say.checked(body, "brief.yaml")


def test_numbers_are_printed_as_the_pages_do() -> None:
    assert [say.ratio(v) for v in (0.004, 9.994, 9.996, 25.04)] == ["0.00", "9.99", "10.0", "25.0"]
    assert [say.end(v) for v in (1.0, 0.9996, 1.00004, 2.0)] == [
        "1.00",
        "0.9996",
        "1.00004",
        "2.00",
    ]
    assert np.all([say.count(v) == f"{v:,}" for v in (0, 4, 1234567)])
