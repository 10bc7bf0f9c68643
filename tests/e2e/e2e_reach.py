"""What a page must be at every size and by keyboard: nothing out of reach, focus that is seen."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from e2e_page import Watched
from playwright.sync_api import Page

#: Nothing is on its way and nothing is only sketched.
AT_REST = """() => document.querySelector('#app, main, body')?.innerText.trim().length > 0
  && !document.querySelector('[aria-busy=true]:not(.maplibregl-map)')
  && document.querySelectorAll('.skeleton i').length === 0
  && document.fonts.status === 'loaded'"""

#: Controls that cannot be reached: outside of the screen and of all that scrolls.
OUTSIDE = """() => {
  const scrolls = (box, axis) => {
    for (let at = box.parentElement; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      const how = axis === 'x' ? style.overflowX : style.overflowY;
      const more = axis === 'x' ? at.scrollWidth - at.clientWidth : at.scrollHeight - at.clientHeight;
      if (/auto|scroll/.test(how) && more > 0) return true;
      if (style.position === 'fixed') return false;
    }
    const root = document.scrollingElement;
    return axis === 'y' && getComputedStyle(document.body).overflowY !== 'hidden'
      && root.scrollHeight > innerHeight;
  };
  return [...document.querySelectorAll('button, a[href], input, select, textarea, summary')]
    .filter(one => one.checkVisibility({visibilityProperty: true, opacityProperty: true})
      && !one.closest('.skip, .hidden, [inert], .maplibregl-map'))
    .map(one => [one, one.getBoundingClientRect()])
    .filter(([one, box]) => box.width > 1 && box.height > 1
      && ((box.left < -1 || box.right > innerWidth + 1) && !scrolls(one, 'x')
        || (box.top < -1 || box.bottom > innerHeight + 1) && !scrolls(one, 'y')))
    .map(([one, box]) => `${one.outerHTML.slice(0, 90)} ${[box.left, box.top, box.right, box.bottom].map(Math.round)}`)
}"""

#: Controls too small for a thumb. A link inside of a sentence may be as high as its line.
SMALL = """least => [...document.querySelectorAll('button, a[href], input, select, textarea, summary')]
  .filter(one => one.checkVisibility({visibilityProperty: true, opacityProperty: true})
    && !one.closest('.skip, .hidden, [inert], .maplibregl-map, p, td, th, code')
    && !(one.matches('input') && one.closest('label, .search')))
  .map(one => [one, one.getBoundingClientRect()])
  .filter(([, box]) => box.width > 1 && box.height > 1 && box.height < least)
  .map(([one, box]) => `${one.outerHTML.slice(0, 90)} ${Math.round(box.width)} × ${Math.round(box.height)}`)"""

#: Where the focus is, and whether that can be seen.
FOCUS = """() => {
  const one = document.activeElement;
  if (!one || one === document.body || one === document.documentElement) return null;
  one.scrollIntoView({block: 'nearest', inline: 'nearest'});
  const box = one.getBoundingClientRect();
  const ring = at => {
    const style = getComputedStyle(at);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1
      && style.outlineColor !== 'rgba(0, 0, 0, 0)';
  };
  const after = at => {
    const style = getComputedStyle(at, '::after');
    return style.content !== 'none' && style.display !== 'none' && parseFloat(style.borderTopWidth) >= 1;
  };
  let seen = false;
  for (let at = one, n = 0; at && n < 4; at = at.parentElement, n += 1) {
    seen ||= ring(at) || (n > 0 && after(at)) || [...at.children].some(child =>
      n < 2 && child !== one && child.matches('span, i, label') && ring(child));
  }
  one.dataset.stop ??= String(window.stops = (window.stops ?? 0) + 1);
  return {
    stop: one.dataset.stop,
    text: one.outerHTML.slice(0, 110),
    seen,
    inside: box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0
      && box.left < innerWidth && box.top < innerHeight,
  };
}"""


@dataclass(frozen=True)
class Size:
    """A screen."""

    width: int
    height: int

    @property
    def phone(self) -> bool:
        """Laid out for a thumb."""
        return self.width < 720


#: One of every layout, at its narrowest where it has the least room, the phone last.
SIZES = (
    Size(1440, 900), Size(3840, 2160), Size(1200, 800), Size(1024, 768), Size(720, 1024),
    Size(360, 740),
)  # fmt: skip


def rest(page: Page) -> None:
    """Wait until the page has come to rest, and has heard of its present size."""
    page.evaluate(
        "() => new Promise(then => requestAnimationFrame(() => requestAnimationFrame(then)))"
    )
    page.wait_for_function(AT_REST)


def picture(one: Watched, name: str) -> None:
    """Keep a picture for whoever looks at them: the folder is named by WUSETU_PICTURES."""
    folder = os.environ.get("WUSETU_PICTURES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        one.page.screenshot(path=str(Path(folder) / f"{name}.png"))


def unreachable(one: Watched) -> list[str]:
    """Controls out of reach, and how far the page itself sticks out of the screen."""
    found: list[str] = one.page.evaluate(OUTSIDE)
    over = one.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    return found + ([f"the page is {over} px too wide"] if over > 0 else [])


def small(one: Watched, least: float = 40) -> list[str]:
    """Controls lower than `least` CSS px."""
    found: list[str] = one.page.evaluate(SMALL, least)
    return found


def tab_through(page: Page, most: int = 400) -> list[dict[str, object]]:
    """Every stop of the Tab key from the top of the page, once around."""
    page.evaluate(
        "() => { document.activeElement?.blur(); window.getSelection()?.removeAllRanges() }"
    )
    stops: list[dict[str, object]] = []
    known: set[object] = set()
    for _ in range(most):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUS)
        if found is None or found["stop"] in known:
            return stops
        known.add(found["stop"])
        stops.append(found)
    raise AssertionError(f"the Tab key does not come around in {most} steps: {stops[-3:]}")
