"""Build the documentation: once per state of its sources, then finished for our rules.

The site is served under the application's own policy (`app/api/envelope.py`): no inline script, no
inline style sheet, nothing from another host. So what the theme writes into its pages is moved into
files, and a built site that asks for anything elsewhere is refused. The new site takes the place of
the old one as a whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.errors import WusetuError
from app.settings import PROJECT

SITE = PROJECT / "build" / "docs"
MARK = ".sources"
SOURCES = (
    "docs",
    "mkdocs.yml",
    "app/docsite/build.py",
    "app/docsite/hooks.py",
    "requirements.lock",
)

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# links for search engines; the theme's script would ask each of them for a site map
_CANONICAL = re.compile(r'\s*<link rel="(?:canonical|alternate)"[^>]*>')
_STYLE = re.compile(r"<style[ >]")
#: Whatever a browser fetches by itself. Links that people follow are `<a>`.
_FETCHED = re.compile(
    r"<(?:script|img|iframe|source|embed|object|link)\b[^>]*?\b(?:src|href|data)=[\"']?"
    r"(?P<where>https?:)?//"
)
_FETCHED_BY_CSS = re.compile(r"(?:url\(|@import\s+)[\"']?(?:https?:)?//")
_HAN = re.compile(r"[\u3400-\u9fff]+")
_BETWEEN = "\u200b"  # zero-width space: one of the separators of the search


class DocsFailed(WusetuError):
    """The documentation could not be built; the message is that of mkdocs."""

    code = "docs_failed"
    status = 500


def sources(root: Path = PROJECT) -> Iterator[Path]:
    """Every file the site is made of, in a steady order."""
    for name in SOURCES:
        place = root / name
        if place.is_file():
            yield place
        elif place.is_dir():
            yield from sorted(one for one in place.rglob("*") if one.is_file())


def fingerprint(root: Path = PROJECT) -> str:
    """SHA-256 over names and contents of the sources."""
    total = hashlib.sha256()
    for one in sources(root):
        total.update(str(one.relative_to(root)).encode())
        total.update(hashlib.sha256(one.read_bytes()).digest())
    return total.hexdigest()


def is_current(site: Path = SITE, root: Path = PROJECT) -> bool:
    """Whether the built site is that of the present sources."""
    mark = site / MARK
    return mark.is_file() and mark.read_text() == fingerprint(root)


def build(
    site: Path = SITE, root: Path = PROJECT, *, force: bool = False, strict: bool = False
) -> bool:
    """Build the site; False when it was current already. `strict`: a wrong link is a failure.

    Raises
    ------
    DocsFailed
        mkdocs found a mistake, or the site asks another host for something. The site that was
        there stays.
    """
    if not force and is_current(site, root):
        return False
    state = fingerprint(root)
    site.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".docs-", dir=site.parent) as folder:
        made = Path(folder) / "site"
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict" if strict else "--no-strict",
             "--config-file", str(root / "mkdocs.yml"), "--site-dir", str(made)],
            cwd=root, check=False, capture_output=True, text=True,
            env={**os.environ, "NO_COLOR": "1", "NO_MKDOCS_2_WARNING": "1"},
        )  # fmt: skip
        if done.returncode != 0:
            raise DocsFailed(f"mkdocs: {(done.stderr or done.stdout).strip()}")
        finish(made)
        (made / MARK).write_text(state)
        made.chmod(0o755)
        old = Path(folder) / "old"
        if site.exists():
            site.rename(old)
        made.rename(site)
    return True


def finish(site: Path) -> None:
    """Make a site of mkdocs keep the application's policy, and find Chinese words."""
    for name in ("*.map", "*.gz", "sitemap.xml"):
        for one in site.rglob(name):
            one.unlink()
    for folder in [one for one in site.rglob("__pycache__") if one.is_dir()]:
        shutil.rmtree(folder)
    for page in site.rglob("*.html"):
        page.write_text(_mended(page.read_text(encoding="utf-8"), page, site), encoding="utf-8")
    index = site / "search" / "search_index.json"
    if index.is_file():
        found = json.loads(index.read_text(encoding="utf-8"))
        for entry in found["docs"]:
            entry["title"] = spaced(entry["title"])
            entry["text"] = spaced(entry["text"])
        index.write_text(
            json.dumps(found, ensure_ascii=False, separators=(",", ":")), encoding="utf-8"
        )
    if asks := list(outside(site)):
        raise DocsFailed("the built documentation asks other hosts: " + "; ".join(asks))


def spaced(text: str) -> str:
    """Put a zero-width space between Chinese characters, so that each can be found."""
    return _HAN.sub(lambda run: _BETWEEN.join(("", *run[0], "")), text)


def _mended(text: str, page: Path, site: Path) -> str:
    """Move inline scripts of a page into files named by their content, name its search."""
    base = os.path.relpath(site, page.parent)
    if page.name == "404.html":
        base = "/docs"  # answered at any depth

    def moved(found: re.Match[str]) -> str:
        body = found[1].strip()
        name = f"inline-{hashlib.sha256(body.encode()).hexdigest()[:12]}.js"
        place = site / "assets" / "javascripts" / name
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(body, encoding="utf-8")
        return f'<script src="{base}/assets/javascripts/{name}"></script>'

    text = _SCRIPT.sub(moved, _CANONICAL.sub("", text))
    # the theme's search is a dialog without a name
    name = "Search" if '<html lang="en"' in text else "搜索"
    return text.replace('role="dialog"', f'role="dialog" aria-label="{name}"', 1)


def outside(site: Path) -> Iterator[str]:
    """Places of a site that a browser would ask another host for, or that the policy forbids."""
    for page in sorted(site.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        name = page.relative_to(site)
        if found := _FETCHED.search(text):
            yield f"{name}: {found[0]}"
        if _STYLE.search(text):
            yield f"{name}: an inline style sheet"
        if re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text):
            yield f"{name}: an inline script"
    for sheet in sorted(site.rglob("*.css")):
        if found := _FETCHED_BY_CSS.search(sheet.read_text(encoding="utf-8")):
            yield f"{sheet.relative_to(site)}: {found[0]}"
