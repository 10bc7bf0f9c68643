"""The real application on a free port of this machine, for as long as a test needs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from app.main import create_app
from app.settings import Settings


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """Address of the application with these settings; it ends with the block."""
    config = uvicorn.Config(
        create_app(settings), host="127.0.0.1", port=0, log_level="warning", timeout_keep_alive=75
    )
    one = uvicorn.Server(config)
    thread = threading.Thread(target=one.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 120
    while not one.started:
        assert thread.is_alive(), "the server does not start"
        assert time.monotonic() < deadline, "the server does not start in time"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{one.servers[0].sockets[0].getsockname()[1]}"
    finally:
        one.should_exit = True
        thread.join(timeout=60)
