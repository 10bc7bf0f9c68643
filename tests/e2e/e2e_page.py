"""A page of any product in the system's Chromium: what it asked for, what it complained about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request, expect

ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
#: The browser draws maps in software, perhaps beside other work.
PATIENCE_MS = 60_000
AXE = Path(__file__).resolve().parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"

expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Watched:
    """A page with everything it did on the network and in the console."""

    page: Page
    base: str
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def keep(self, request: Request) -> None:
        """Remember a request."""
        self.requests.append(request)

    def since(self, mark: int) -> list[Request]:
        """Requests after a mark (`len(requests)` of then)."""
        return self.requests[mark:]

    def hosts(self) -> set[str]:
        """Hosts asked for, without the browser's own `blob:` and `data:`."""
        found = {urlsplit(one.url) for one in self.requests}
        return {one.netloc for one in found if one.scheme in {"http", "https", "ws", "wss"}}

    def violations(self, rules: list[str] | None = None) -> list[str]:
        """Serious and critical findings of axe-core."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules:
            options["runOnly"] = rules
        found = self.page.evaluate("options => axe.run(document, options)", options)
        assert len(found["passes"]) > 15, "axe did not look"
        return [
            f"{one['id']} ({one['impact']}): {node['target']} {node.get('failureSummary', '')}"
            for one in found["violations"]
            if one["impact"] in {"serious", "critical"}
            for node in one["nodes"]
        ]


@contextmanager
def watched(
    browser: Browser, base: str, width: int, height: int, **options: Any
) -> Iterator[Watched]:
    """Open a page of its own context; close it after use."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    one = Watched(page, base)
    page.on("request", one.keep)
    page.on("pageerror", lambda error: one.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            one.complaints.append(message.text) if message.type in {"error", "warning"} else None
        ),
    )
    try:
        yield one
    finally:
        context.close()
