"""Numbers for Prometheus: one registry per application.

Labels are route templates, methods, statuses, pools and packs: their number does not grow with use.
With several workers each answers for itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from sqlalchemy.pool import QueuePool

from app.services.kept import Kept

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

AGES = sa.text(
    "select 'run' as what, pack, max(published_at) as at from run where status = 'published' "
    "group by pack union all "
    "select 'snapshot', pack, max(read_at) from cube_snapshot group by pack"
)


class Metrics:
    """What one worker counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "wusetu_requests", "Answers", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "wusetu_request_seconds", "Time until the whole answer was handed over",
            ["route"], buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.errors = Counter(
            "wusetu_errors", "Answers with status 500 and above", ["route"], registry=self.registry
        )
        self.running = Gauge(
            "wusetu_requests_running", "Requests being answered", registry=self.registry
        )
        self.stale = Counter(
            "wusetu_stale_answers", "Answers from memory, the database being away",
            registry=self.registry,
        )  # fmt: skip
        self._pool = Gauge(
            "wusetu_pool_connections", "Database connections", ["pool", "state"],
            registry=self.registry,
        )  # fmt: skip
        self._kept = Gauge(
            "wusetu_kept_answers", "Answers kept ready in memory", registry=self.registry
        )
        self._heard = Gauge(
            "wusetu_database_heard", "1 while announcements are heard", registry=self.registry
        )
        self._up = Gauge(
            "wusetu_database_up", "1 when the database answered this", registry=self.registry
        )
        self._ages = {
            what: Gauge(f"wusetu_{what}_age_seconds", text, ["pack"], registry=self.registry)
            for what, text in (
                ("run", "Age of the newest published run"),
                ("snapshot", "Age of the newest snapshot for counting areas"),
            )
        }

    def finished(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self.requests.labels(route, method if method in METHODS else "other", str(status)).inc()
        self.seconds.labels(route).observe(seconds)
        if status >= 500:
            self.errors.labels(route).inc()

    def observe(self, pools: dict[str, sa.Engine], kept: Kept) -> None:
        """Note how full pools and memory are."""
        for name, engine in pools.items():
            pool = engine.pool
            if isinstance(pool, QueuePool):
                self._pool.labels(name, "used").set(pool.checkedout())
                self._pool.labels(name, "idle").set(pool.checkedin())
                self._pool.labels(name, "size").set(pool.size())
        self._kept.set(len(kept))
        self._heard.set(kept.live)

    def ages(self, rows: Iterable[sa.Row[Any]] | None) -> None:
        """Note how old runs and snapshots are; None: the database does not answer."""
        self._up.set(rows is not None)
        for gauge in self._ages.values():
            gauge.clear()
        now = datetime.now(UTC)
        for what, pack, at in map(tuple, rows or ()):
            if at is not None:
                self._ages[what].labels(pack).set((now - at).total_seconds())

    def text(self) -> bytes:
        """Everything in the text format of Prometheus."""
        return generate_latest(self.registry)
