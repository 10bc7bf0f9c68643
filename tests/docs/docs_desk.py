"""Where a reader of the documentation sits and does what a page says."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from docs_pages import blocks, judged, script

from app.settings import PROJECT, DatabaseSettings, Settings


@dataclass
class Desk:
    """Where a reader sits: a folder, a database, a data folder."""

    folder: Path
    url: str
    data_dir: Path

    @property
    def settings(self) -> Settings:
        """Settings of this desk's installation."""
        return Settings(data_dir=self.data_dir, database=DatabaseSettings(url=self.url))

    def follow(self, page: Path, base: str = "", fresh: str = "") -> list[str]:
        """Do what a page says; give back what each command block printed.

        `base` stands for the address in the page, `fresh` for the database of blocks that want an
        empty one. Every exit code and every printed part must be as the page says.
        """
        found = blocks(page)
        for one in found:
            if name := one.value("file"):
                (self.folder / name).write_text(one.text, encoding="utf-8")
        environment = {
            **os.environ, "WUSETU_DATABASE_URL": self.url, "WUSETU_DATA_DIR": str(self.data_dir),
            "PYTHONPATH": str(PROJECT), "LC_ALL": "C.UTF-8",
            "PATH": f"{self.folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-c", script(found, base, fresh, self.data_dir.with_name("fresh"))],
            cwd=self.folder, env=environment, check=False, text=True, capture_output=True,
            stdin=subprocess.DEVNULL, timeout=1800,
        )  # fmt: skip
        return judged(page, found, done.stdout + done.stderr)
