"""Clusters to mistreat, each in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.cluster import Cluster


def end(cluster: Cluster) -> None:
    """Kill what is left of a cluster; a test may have left it in any state."""
    for pid in cluster._members():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    folder = cluster.socket_dir
    if folder.name.startswith("wst-"):
        shutil.rmtree(folder, ignore_errors=True)
    if cluster.moved:
        shutil.rmtree(cluster.home, ignore_errors=True)


@pytest.fixture
def place() -> Iterator[Path]:
    """A short folder every user can enter (pytest's own is closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="wusetu-machine-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make(place: Path) -> Iterator[Callable[..., Cluster]]:
    """Maker of clusters that are gone after the test, however they ended."""
    made: list[Cluster] = []

    def one(root: Path | None = None, **options: str) -> Cluster:
        cluster = Cluster(root or place / "data", options=options)
        made.append(cluster)
        return cluster

    yield one
    for cluster in made:
        end(cluster)
