"""How long a person waits for the first map: the system's Chromium against a running server.

    python -m benchmarks.first_map [--address http://127.0.0.1:8000/] [--rounds 7]

Without an address a server is started on the data folder's database (`make up` loaded the sample).
The server is warm: one visit goes before and is not counted. Two kinds of visit: a browser that was
never here (everything is fetched), and one that comes again (its cache has scripts and tiles). Counted
from the navigation until every unit on the screen is there in its colour ("coloured"), and until the map
stands still with all its lines and names ("still"); the browser draws in software where there is no
graphics card.

Printed: medians and the slowest of both; the goal is 2 s. Nothing fails when it is slower, for the time
depends on the machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
from typing import Any

from benchmarks.load import served

GOAL_MS = 2000
ARGUMENTS = [
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking",
    "--no-first-run", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip
#: Looks at every frame; the time is the browser's own, from the navigation on.
WATCH = """() => {
  const look = () => {
    const box = document.querySelector('.map-box');
    const map = box?.map;
    const source = map?.getLayer('fill')?.source;
    if (source && box.dataset.painted === box.dataset.asked && map.isSourceLoaded(source)) {
      const fills = map.queryRenderedFeatures({layers: ['fill']});
      if (fills.length > 0 && fills.every(one => one.state.c !== undefined)) {
        window.coloured ??= performance.now();
        if (map.loaded() && !map.isMoving()) {
          window.firstMap = performance.now();
          return;
        }
      }
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


def visit(context: Any, address: str) -> tuple[float, float]:
    """Milliseconds from the navigation to the coloured map, and to the map that stands still."""
    page = context.new_page()
    page.add_init_script(f"({WATCH})()")
    page.goto(address)
    page.wait_for_function("() => window.firstMap !== undefined", timeout=120_000)
    coloured, still = page.evaluate("() => [window.coloured, window.firstMap]")
    page.close()
    return float(coloured), float(still)


def measure(address: str, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Times of both kinds of visit, taking turns."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "google-chrome-stable", "google-chrome")
    program = os.environ.get("WUSETU_CHROMIUM") or next(
        filter(None, map(shutil.which, names)), None
    )
    if program is None:
        raise SystemExit("no Chromium on this machine (set WUSETU_CHROMIUM to its path)")
    taken: dict[str, list[tuple[float, float]]] = {"never here": [], "comes again": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        size: Any = {"width": 1440, "height": 900}
        old = browser.new_context(viewport=size)
        visit(old, address)
        for _ in range(rounds):
            fresh = browser.new_context(viewport=size)
            taken["never here"].append(visit(fresh, address))
            fresh.close()
            taken["comes again"].append(visit(old, address))
        browser.close()
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--address", help="of a running server; default: start one")
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    with served(chosen.address) as address:
        taken = measure(address, chosen.rounds)
    load = os.getloadavg()[0]
    print(f"first map, 1440 × 900, {chosen.rounds} visits each, load {load:.1f}, goal {GOAL_MS} ms")
    for name, visits in taken.items():
        for what, times in zip(("coloured", "still"), zip(*visits, strict=True), strict=True):
            print(
                f"{name:<12} {what:<9} median {statistics.median(times):6.0f} ms   "
                f"slowest {max(times):6.0f} ms"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
