"""From a red grid to a closed alert: map, task, phone without a signal, verified, closed, the map again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from e2e_desk import Desk
from e2e_map import HOT
from e2e_page import Watched
from e2e_tasks import DESK, OTHER_DESK, Red, Town, camera_photo, town
from playwright.sync_api import Browser, Locator, Page, expect

from app.database import make_engine
from app.security.identity import Role
from app.settings import Settings

#: The browser itself writes down that it has no signal, and answers with a status of refusal.
BY_THE_BROWSER = re.compile(r"net::ERR_INTERNET_DISCONNECTED|status of 4\d\d")


@pytest.fixture
def work(browser: Browser, small_map: Settings, site: str) -> Iterator[Town]:
    """The town with its alerts; no page may have asked another host or complained."""
    assert small_map.database.url
    engine = make_engine(small_map.database.url)
    with town(engine, browser, site) as one:
        yield one
        for page in one.pages:
            assert page.hosts() <= {site.removeprefix("http://")}
            kept = [text for text in page.complaints if not BY_THE_BROWSER.search(text)]
            assert kept == [], (page.page.url, kept)
    engine.dispose()


def card(page: Page, name: str, state: str) -> Locator:
    found = page.locator(f".card[data-state={state}]", has_text=name)
    expect(found).to_be_visible()
    return found


def make_from_map(desk: Desk, red: Red) -> int:
    """Click the red grid on the map and make its task; the number of the task."""
    desk.open(f"/#scope={HOT}&level=grid&kind=dispute")
    desk.expect_unit(red.code, colour=5)
    desk.click_unit(red.code)
    expect(desk.title()).to_have_text(red.name)
    note = desk.panel.locator(".alert-note")
    expect(note).to_have_attribute("data-state", "open")
    expect(note).to_contain_text("纠纷预警")
    expect(note).to_contain_text("预期")
    desk.panel.get_by_role("button", name="生成巡查任务").click()
    link = desk.panel.get_by_role("link", name="打开巡查任务")
    expect(link).to_be_visible()
    expect(note).to_contain_text("已派发")
    found = re.search(r"task=(\d+)", link.get_attribute("href") or "")
    assert found
    return int(found[1])


def lose_signal(one: Watched) -> None:
    one.page.context.set_offline(True)
    expect(one.page.locator(".age")).to_contain_text("离线")


def find_signal(one: Watched) -> None:
    one.page.context.set_offline(False)
    expect(one.page.locator(".age")).to_have_count(0)


def test_a_red_grid_becomes_a_closed_alert(work: Town) -> None:
    red = work.reds[0]
    # the map: dispatch sees the red grid, its alert and why, and makes a task of it
    dispatch = work.enter(Role.dispatcher, 1440, 900)
    desk = Desk(dispatch)
    task = make_from_map(desk, red)
    assert dispatch.violations() == []

    # the phone of the grid team: what, why, until when, what to check
    phone = work.phone()
    page = phone.page
    expect(page.locator(".card")).to_have_count(1)
    card(page, red.name, "sent").tap()
    sheet = page.locator(".sheet")
    expect(sheet).to_contain_text(f"纠纷 · {red.name}")
    expect(sheet).to_contain_text(DESK)
    expect(sheet.locator(".bar6 [aria-current=step]")).to_have_text("派发")
    expect(sheet.locator(".strip .map-box")).to_be_visible()
    assert phone.violations() == []
    page.get_by_role("button", name="接单", exact=True).tap()
    expect(sheet.locator(".bar6 [aria-current=step]")).to_have_text("接单")
    page.get_by_role("button", name="到场", exact=True).tap()
    expect(sheet.locator(".bar6 [aria-current=step]")).to_have_text("到场")
    expect(page.get_by_role("button", name="填写反馈")).to_be_enabled()
    work_done = "select state, (select count(*) from task_event e where e.task_id = t.id) as n "
    work_done += "from task t where id = :task"
    page.wait_for_function(
        "task => fetch(`/api/tasks/${task}`).then(r => r.json()).then(t => t.state === 'on_site')",
        arg=task,
    )

    # in the middle the signal is lost; the feedback with its photo waits on the phone
    lose_signal(phone)
    sheet.locator(".checks label").first.tap()
    page.get_by_role("button", name="填写反馈").tap()
    expect(page.locator(".feedback[data-ready=true]")).to_be_visible()
    page.locator("[data-answer=confirmed]").tap()
    page.locator(".measure").first.tap()
    for _ in range(3):
        page.get_by_role("button", name="加一件").tap()
    page.get_by_label("说明").fill("通道已清理，约定周三复查。")
    page.get_by_label("加照片").set_input_files(
        {"name": "place.jpg", "mimeType": "image/jpeg", "buffer": camera_photo()}
    )
    expect(page.locator(".shot img")).to_have_count(1)
    expect(page.get_by_text("只拍地方和设施")).to_be_visible()
    assert phone.violations() == []
    page.get_by_role("button", name="存好，联网后提交").tap()
    expect(page.locator(".sheet")).to_have_attribute("data-state", "feedback")
    expect(page.locator(".age")).to_contain_text("2 条待上传")
    assert work.rows(work_done, task=task)[0] == ("on_site", 3)
    # the phone is put away and taken out again, still without a signal
    page.reload()
    expect(page.locator(".age")).to_contain_text("2 条待上传")
    expect(page.locator(".sheet")).to_have_attribute("data-state", "feedback")
    expect(page.locator(".checks input").first).to_be_checked()
    page.get_by_role("button", name="返回").tap()
    expect(card(page, red.name, "feedback")).to_contain_text("待上传")
    assert phone.violations() == []

    # with a signal all of it goes, once
    find_signal(phone)
    expect(page.locator(".sync")).not_to_contain_text("待上传")
    assert work.rows(work_done, task=task)[0] == ("feedback", 4)
    photos = work.rows("select body, width, height from task_photo where task_id = :t", t=task)
    assert len(photos) == 1
    assert b"SecretCam" not in bytes(photos[0].body)
    assert max(photos[0].width, photos[0].height) <= 2048
    said = work.rows("select answer, handled, measures from task where id = :t", t=task)[0]
    assert (said.answer, said.handled, len(said.measures)) == ("confirmed", 3, 1)

    # dispatch reads it, verifies and closes
    page = dispatch.page
    page.goto(f"{work.site}/tasks#task={task}")
    found = page.locator(".found")
    expect(found).to_contain_text("属实")
    expect(found).to_contain_text("处理 3 件")
    expect(found).to_contain_text("通道已清理")
    page.wait_for_function("() => document.querySelector('.found img')?.naturalWidth > 0")
    assert dispatch.violations() == []
    page.get_by_role("button", name="核验通过").click()
    page.locator(".ask").get_by_role("button", name="核验通过").click()
    page.get_by_role("button", name="办结", exact=True).click()
    page.locator(".ask").get_by_role("button", name="办结").click()
    expect(page.locator(".sheet")).to_have_attribute("data-state", "closed")
    expect(page.locator(".bar6 [aria-current=step]")).to_have_text("办结")

    # and the map knows: the alert is closed, and why
    desk.open(f"/#scope={HOT}&level=grid&kind=dispute&unit={red.code}")
    note = desk.panel.locator(".alert-note")
    expect(note).to_have_attribute("data-state", "closed")
    expect(note).to_contain_text("经巡查属实")
    expect(desk.panel.get_by_role("link", name="打开巡查任务")).to_be_visible()
    steps = work.rows("select step from task_event where task_id = :t order by n", t=task)
    assert [row.step for row in steps] == [
        "sent", "accepted", "on_site", "feedback", "verified", "closed",
    ]  # fmt: skip
    closed = work.rows("select state, closed_by from alert where id = :a", a=red.alert)
    assert closed[0] == ("closed", "confirmed")
    # the phone hears of it by itself
    phone.page.get_by_role("button", name="已办").tap()
    card(phone.page, red.name, "closed")


def test_who_was_slower_is_told_in_words(work: Town) -> None:
    red = work.reds[1]
    dispatch = work.enter(Role.dispatcher, 1440, 900)
    task = make_from_map(Desk(dispatch), red)
    slow = work.phone()
    fast = work.phone()
    for one in (slow, fast):
        one.page.locator(".card", has_text=red.name).tap()
        expect(one.page.get_by_role("button", name="接单")).to_be_visible()
    lose_signal(slow)
    slow.page.get_by_role("button", name="接单，联网后提交").tap()
    expect(slow.page.locator(".sheet")).to_have_attribute("data-state", "accepted")
    fast.page.get_by_role("button", name="接单").tap()
    expect(fast.page.locator(".sheet")).to_have_attribute("data-state", "accepted")
    fast.page.wait_for_function(
        "task => fetch(`/api/tasks/${task}`).then(r => r.json()).then(t => t.version === 2)",
        arg=task,
    )
    find_signal(slow)
    told = slow.page.locator(".refused")
    expect(told).to_contain_text("没有收下")
    expect(told).to_contain_text("现为“已接”")
    assert slow.violations() == []
    told.get_by_role("button", name="知道了").tap()
    expect(told).to_have_count(0)
    # dispatch hands it over to the other desk: there it begins anew
    page = dispatch.page
    page.goto(f"{work.site}/tasks#task={task}&lang=en")
    page.get_by_role("button", name="Hand over").click()
    page.locator(".ask select").select_option(label=OTHER_DESK)
    page.locator(".ask").get_by_role("button", name="Hand over").click()
    expect(page.locator(".sheet")).to_have_attribute("data-state", "sent")
    expect(page.locator(".facts")).to_contain_text(OTHER_DESK)
    assert dispatch.violations() == []
    # declined with its reason
    slow.page.get_by_role("button", name="退回", exact=True).tap()
    slow.page.locator(".ask").get_by_role("button", name="退回").tap()
    expect(slow.page.get_by_role("alert")).to_have_text("请写明原因。")
    slow.page.get_by_label("退回的原因").fill("不在本组范围")
    slow.page.locator(".ask").get_by_role("button", name="退回").tap()
    expect(slow.page.locator(".sheet")).to_have_attribute("data-state", "declined")
    expect(page.locator(".sheet")).to_have_attribute("data-state", "declined")
    notes = work.rows("select step, note from task_event where task_id = :t order by n", t=task)
    assert [tuple(row) for row in notes] == [
        ("sent", ""), ("accepted", ""), ("handed_over", ""), ("declined", "不在本组范围"),
    ]  # fmt: skip
    # nothing reaches over the edge of a phone, in either language
    for lang in ("zh", "en"):
        slow.page.goto(f"{work.site}/tasks#lang={lang}")
        expect(slow.page.locator(".tabs")).to_be_visible()
        over = slow.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert over <= 0
