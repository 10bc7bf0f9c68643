"""Alerts and tasks for browser tests: accounts, desks, one red grid, the sessions of both sides."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from e2e_map import HOT, PACK
from e2e_page import Watched, watched
from PIL import Image
from playwright.sync_api import Browser, expect

from app.database import transaction
from app.security.identity import Role
from app.services import accounts, alerts

PASSWORD = "correct horse battery"
DESK = "良渚街道 网格组"
OTHER_DESK = "余杭区 综治中心"
#: A name of digits alone would be taken for a telephone.
LETTERS = str.maketrans("0123456789", "ghijklmnop")

#: The open alerts of red grids of the hot town, the widest grid first: a pointer hits it.
_RED = """
select a.id, a.code, a.name from alert a
join unit u on u.code = a.code
where a.pack = :pack and a.state = 'open' and a.kind = 'dispute' and a.level = 'grid' and a.colour = 5
  and a.code ^@ :hot
order by st_area(u.geom) desc
"""


@dataclass
class Red:
    """A red grid with an open alert."""

    alert: int
    code: str
    name: str


@dataclass
class Town:
    """The small map with its alerts, an account of dispatch, one of the grid team, and their pages."""

    engine: sa.Engine
    browser: Browser
    site: str
    reds: list[Red] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)
    pages: list[Watched] = field(default_factory=list)

    def enter(self, role: Role, width: int, height: int, **options: Any) -> Watched:
        """A page of a fresh account of this role, logged in."""
        prefixes = None if role is Role.dispatcher else [HOT]
        with transaction(self.engine) as connection:
            made = accounts.create(
                connection,
                f"e2e-{uuid.uuid4().hex[:8].translate(LETTERS)}",
                role,
                title=str(role),
                prefixes=prefixes,
            )
            link = accounts.new_link(connection, made.id, 1).secret
        one = self.stack.enter_context(
            watched(self.browser, self.site, width, height, locale="zh-CN", **options)
        )
        self.pages.append(one)
        one.page.goto(f"{self.site}/login?next=%2Ftasks#link={link}")
        one.page.get_by_label("新密码", exact=True).fill(PASSWORD)
        one.page.get_by_label("再输一次").fill(PASSWORD)
        one.page.get_by_role("button", name="设定密码并登录").click()
        one.page.wait_for_url("**/tasks*")
        expect(one.page.get_by_role("heading", level=1)).to_be_visible()
        return one

    def phone(self) -> Watched:
        """A grid team's phone, whose worker keeps the page."""
        one = self.enter(Role.grid_worker, 390, 844, has_touch=True, is_mobile=True)
        one.page.wait_for_function("() => navigator.serviceWorker.controller !== null")
        return one

    def rows(self, query: str, **values: object) -> list[Any]:
        """What the database says now."""
        with self.engine.connect() as connection:
            return list(connection.execute(sa.text(query), values).all())


@contextmanager
def town(engine: sa.Engine, browser: Browser, site: str) -> Iterator[Town]:
    """Alerts looked for in the real run, no task yet."""
    with transaction(engine) as connection:
        connection.execute(sa.text("delete from task"))
        connection.execute(sa.text("delete from alert"))
        connection.execute(sa.text("delete from alert_clock"))
        connection.execute(sa.text("delete from duty_desk"))
        connection.execute(
            sa.text(
                "insert into duty_desk (pack, code, side, name, office_line) values "
                "(:pack, :hot, '3301', :near, '0571-8862 1100'), "
                "(:pack, '330110', '3301', :far, '0571-8862 2200')"
            ),
            {"pack": PACK, "hot": HOT, "near": DESK, "far": OTHER_DESK},
        )
    alerts.update(engine, pack=PACK)
    one = Town(engine, browser, site)
    one.reds = [Red(row.id, row.code, row.name) for row in one.rows(_RED, pack=PACK, hot=HOT)]
    assert len(one.reds) >= 2, "no red grids to work on"
    with one.stack:
        yield one


def camera_photo() -> bytes:
    """A photo as a camera writes it: large, with the place and the device in it."""
    exif = Image.Exif()
    exif[0x010F] = "SecretCam"
    made = io.BytesIO()
    gradient = Image.linear_gradient("L").resize((2600, 1950))
    Image.merge("RGB", (gradient, gradient, gradient)).save(made, "JPEG", exif=exif, quality=80)
    assert b"SecretCam" in made.getvalue()
    return made.getvalue()
