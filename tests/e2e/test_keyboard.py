"""The command view and the tasks by keyboard alone: drill, pickers, time line, panels, what opens and closes."""

from __future__ import annotations

from e2e_desk import Desk
from e2e_map import COUNTY, HOT, HOT_NAME
from playwright.sync_api import expect


def test_the_map_is_reached_first_and_drilled_by_keys(desk: Desk) -> None:
    desk.open("/#kind=dispute")
    page = desk.page
    # the first stop leads past the bars to the map
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator(".map-box canvas")).to_be_focused()
    # the arrows choose a unit, its name is said, Enter goes into it, Backspace out again
    page.keyboard.press("ArrowDown")
    page.wait_for_function("() => location.hash.includes('unit=')")
    expect(page.get_by_test_id("announcer")).to_contain_text("相对风险")
    first = desk.state()["unit"]
    page.keyboard.press("ArrowUp")
    page.wait_for_function("before => !location.hash.includes('unit=' + before)", arg=first)
    page.keyboard.press("Enter")
    page.wait_for_function("() => location.hash.includes('scope=')")
    desk.settle()
    expect(page.locator(".map-box canvas")).to_be_focused()
    page.keyboard.press("Backspace")
    page.wait_for_function("() => !location.hash.includes('scope=')")
    # Escape lets the unit go; the focus stays with the map
    page.keyboard.press("Escape")
    page.wait_for_function("() => !location.hash.includes('unit=')")
    expect(page.locator(".map-box canvas")).to_be_focused()


def test_pickers_and_time_line_by_keys(desk: Desk) -> None:
    desk.open(f"/#scope={COUNTY}&kind=dispute")
    page = desk.page
    # `/` searches, arrows and Enter choose
    expect(desk.search("良渚").first).to_contain_text(HOT_NAME)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    desk.expect_state(unit=HOT)
    expect(desk.title()).to_have_text(HOT_NAME)
    # kinds and length of the period are buttons
    page.locator("[data-kind=fire]").focus()
    page.keyboard.press("Enter")
    desk.expect_state(kind="fire")
    page.get_by_role("button", name="季", exact=True).focus()
    page.keyboard.press("Space")
    desk.expect_state(period="quarter")
    # the time line is a slider, and [ ] work everywhere
    slider = page.get_by_role("slider")
    last = int(slider.input_value())
    slider.focus()
    page.keyboard.press("ArrowLeft")
    desk.expect_state(ord=str(last - 1))
    page.keyboard.press("[")
    desk.expect_state(ord=str(last - 2))
    page.keyboard.press("]")
    desk.expect_state(ord=str(last - 1))
    # a level, the language
    page.locator("[data-level=village]").focus()
    page.keyboard.press("Enter")
    desk.expect_state(level="village")
    page.get_by_role("button", name="EN", exact=True).focus()
    page.keyboard.press("Enter")
    desk.expect_state(lang="en")


def test_what_opens_gives_the_focus_back(desk: Desk) -> None:
    desk.open("/#kind=dispute")
    page = desk.page
    # display settings
    button = page.locator(".map-buttons").get_by_role("button", name="显示设置")
    button.focus()
    page.keyboard.press("Enter")
    box = page.get_by_role("region", name="显示设置")
    box.get_by_role("button", name="关闭").focus()
    page.keyboard.press("Enter")
    expect(box).to_have_count(0)
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(box).to_be_visible()
    box.get_by_role("button", name="夜间").focus()
    page.keyboard.press("Escape")
    expect(box).to_have_count(0)
    expect(button).to_be_focused()
    # the look of the bar
    look = page.get_by_role("button", name="色觉与界面")
    look.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".look-box")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.locator(".look-box")).to_have_count(0)
    expect(look).to_be_focused()
    # the table
    table = page.locator(".map-buttons").get_by_role("button", name="表格")
    table.focus()
    page.keyboard.press("Enter")
    panel = page.locator(".table-panel")
    expect(panel.locator("tbody tr").first).to_be_visible()
    panel.get_by_role("button", name="关闭").focus()
    page.keyboard.press("Enter")
    expect(panel).to_have_count(0)
    expect(table).to_be_focused()
    # a unit of the ranking: its panel takes the list's place, closing it leads to the map
    page.locator(".rank-row").first.focus()
    page.keyboard.press("Enter")
    expect(desk.panel.locator(".waterfall")).to_be_visible()
    desk.panel.get_by_role("button", name="关闭").focus()
    page.keyboard.press("Enter")
    expect(desk.panel.locator(".waterfall")).to_have_count(0)
    expect(page.locator(".map-box canvas")).to_be_focused()


def test_the_choice_of_colours_is_kept_for_other_pages_and_the_next_visit(desk: Desk) -> None:
    desk.open("/#kind=dispute")
    page = desk.page
    page.get_by_role("button", name="色觉与界面").press("Enter")
    page.locator(".look-box").get_by_role("button", name="阶梯色").press("Enter")
    page.locator(".look-box").get_by_label("叠加图案").press("Space")
    desk.expect_state(palette="stepped", pattern="1")
    # charts and chips wear the lines, too
    page.wait_for_function(
        "() => getComputedStyle(document.querySelector('.timeline .fill-red, .timeline .fill-yellow'))"
        ".fill.includes('#ink-')"
    )
    assert page.evaluate(
        "() => getComputedStyle(document.querySelector('.legend .swatch-red')).backgroundImage"
    ).startswith("repeating-linear-gradient")
    # an address that says nothing of it, on this device
    page.goto(f"{desk.watched.base}/report")
    page.wait_for_function("() => document.documentElement.dataset.pattern === 'true'")
    desk.open("/")
    assert (
        page.evaluate("() => getComputedStyle(document.documentElement).getPropertyValue('--red')")
        == "#7A0C20"
    )
    # back to the ordinary colours, and that is kept, too
    page.get_by_role("button", name="色觉与界面").press("Enter")
    page.locator(".look-box").get_by_role("button", name="常规").press("Enter")
    page.locator(".look-box").get_by_label("叠加图案").press("Space")
    desk.open("/")
    assert (
        page.evaluate("() => getComputedStyle(document.documentElement).getPropertyValue('--red')")
        == "#C0262E"
    )


def test_the_menus_of_the_workbench_open_and_close_by_keys(desk: Desk) -> None:
    page = desk.page
    page.goto(f"{desk.watched.base}/analyst")
    menus = page.locator(".menu-button:visible")
    expect(menus.first).to_be_visible()
    for menu in menus.all():
        menu.focus()
        page.keyboard.press("Enter")
        expect(menu).to_have_attribute("aria-expanded", "true")
        box = page.locator(".menu-box")
        expect(box).to_be_visible()
        page.keyboard.press("Tab")
        assert box.evaluate("box => box.contains(document.activeElement)")
        page.keyboard.press("Escape")
        expect(box).to_have_count(0)
        expect(menu).to_be_focused()
    # a tool by its letter, Escape lays it down
    page.evaluate("() => document.activeElement.blur()")
    pressed = page.locator(".tool[aria-pressed=true]").first
    resting = pressed.get_attribute("aria-label")
    page.keyboard.press("p")
    expect(pressed).not_to_have_attribute("aria-label", resting or "")
    page.keyboard.press("Escape")
    expect(pressed).to_have_attribute("aria-label", resting or "")
