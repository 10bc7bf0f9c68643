"""Program of `test_feed_crash`: looks at a feed until it is killed, over and over.

Arguments: database URL, folder of locate indexes. Each line of standard input is JSON: the number of a
feed and at which moment, counted from 1, the look ends itself with SIGKILL (0: never). Looks are forks of
this program, so that what takes long to import is imported once. Moments are: before and after each
commit, before and after each file is moved. The exit status of the look goes to standard output.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.database import make_engine
from app.feeds.base import Source
from app.feeds.folder import FolderSource
from app.services.feed_run import Runner, open_source
from app.services.feed_take import Taker
from app.services.feeds import Feed

url, cache = sys.argv[1], Path(sys.argv[2])
left = 0


def moment() -> None:
    """Count a moment; end at the one we were told."""
    global left  # noqa: PLW0603 - of this program
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


class Mortal(FolderSource):
    """A folder source that may die around a move."""

    def _move(self, path: Path, where: str) -> Path:
        moment()
        found = super()._move(path, where)
        moment()
        return found


def opener(feed: Feed) -> Source:
    if feed.adapter == "folder":
        ticks = iter(range(10**9))
        return Mortal(feed.settings, feed.mapping, batch=3, clock=lambda: next(ticks) * 100.0)
    return open_source(feed)


def look(number: int) -> None:
    """Look twice: the first time a folder only remembers what is there."""
    engine = make_engine(url)
    sa.event.listen(engine, "commit", lambda _: moment())
    taker = Taker(engine, cache)
    plain = taker.take

    def take(*args: Any) -> Any:
        found = plain(*args)
        moment()
        return found

    taker.take = take  # type: ignore[method-assign]
    runner = Runner(taker, opener)
    for _ in range(2):
        # the database may not have noticed yet that the one before is dead: it still has the feed's lock
        while (told := runner.look(number)).busy:
            time.sleep(0.02)
        if told.error:
            sys.exit(told.error)


for line in sys.stdin:
    told = json.loads(line)
    child = os.fork()
    if child == 0:
        left = told["moment"]
        try:
            look(told["feed"])
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)
