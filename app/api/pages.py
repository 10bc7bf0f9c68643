"""The front end as files: `frontend/dist` at `/`; the built documentation at `/docs`.

Everything under `/assets/` has its content's hash in its name and never changes; every other file
(the HTML above all) is asked for again each time. Addresses under `/api` and `/tiles` are never
looked for on disk, so a wrong one answers with the JSON error body and a wrong method with 405.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from app.docsite.build import SITE
from app.settings import PROJECT

DIST = PROJECT / "frontend" / "dist"
#: Pages with an address of their own beside the first one.
PAGES = frozenset(
    {"/login", "/analyst", "/admin", "/border", "/tasks", "/report", "/addresses", "/feeds"}
)
IMMUTABLE = "public, max-age=31536000, immutable"

NOT_BUILT = """<!doctype html>
<html lang="zh"><meta charset="utf-8"><title>Wusetu 五色图</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<h1>五色图 Wusetu</h1>
<p>服务已运行，但界面还没有构建。请在项目目录运行 <code>make up</code>，然后刷新本页。</p>
<p>The server is running, but the front end has not been built.
Run <code>make up</code> in the project folder, then reload this page.</p>
<p><a href="/api/manifest">/api/manifest</a> · <a href="/api/health">/api/health</a>
· <a href="/api/openapi.json">/api/openapi.json</a></p>
</html>
"""


DOCS_NOT_BUILT = """<!doctype html>
<html lang="zh"><meta charset="utf-8"><title>Wusetu 五色图</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<h1>使用文档 Documentation</h1>
<p>文档还没有生成。请在项目目录运行 <code>.venv/bin/wusetu docs build</code>，然后刷新本页。</p>
<p>The documentation has not been built. Run <code>.venv/bin/wusetu docs build</code>
in the project folder, then reload this page.</p>
<p><a href="/">五色图 Wusetu</a></p>
</html>
"""


class Files(StaticFiles):
    """Static files with our cache rules."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer one file, 304 when the client has it."""
        answer = await super().get_response(path, scope)
        hashed = path.startswith("assets/")
        answer.headers["Cache-Control"] = IMMUTABLE if hashed else "no-cache"
        return answer


class FrontEnd(Mount):
    """Everything that is neither API nor tile."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match what is not of the API and the tiles."""
        if scope["type"] == "http" and scope["path"].startswith(("/api/", "/tiles/")):
            return Match.NONE, {}
        return super().matches(scope)


def documentation(site: Path) -> Mount:
    """Everything below `/docs/`; a page says what to do while it is not built."""
    files = Files(directory=site, html=True, check_dir=False)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        if (site / "index.html").is_file():
            await files(scope, receive, send)
        else:
            page = HTMLResponse(DOCS_NOT_BUILT, headers={"Cache-Control": "no-store"})
            await page(scope, receive, send)

    return Mount("/docs", app=serve, name="documentation")


def install(app: FastAPI, dist: Path = DIST, site: Path = SITE) -> None:
    """Serve the documentation and the front end; a page says what to do while it is not built.

    Whether it is built is looked up at each request, so building it needs no restart.
    """
    app.router.routes.append(documentation(site))
    files = Files(directory=dist, html=True, check_dir=False)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        if scope["path"] == "/docs":
            await RedirectResponse("/docs/")(scope, receive, send)
            return
        if scope["path"] in PAGES:
            scope = {**scope, "path": f"{scope['path']}.html"}
        if scope["path"] == "/" and not (dist / "index.html").is_file():
            page = HTMLResponse(NOT_BUILT, headers={"Cache-Control": "no-store"})
            await page(scope, receive, send)
        elif not dist.is_dir():
            raise HTTPException(404)
        else:
            await files(scope, receive, send)

    app.router.routes.append(FrontEnd("/", app=serve, name="frontend"))
