"""The web application: wiring only.

Nothing happens at import: `create_app(settings)` makes an application, its lifespan opens and
closes the database engine. uvicorn runs `application` as a factory.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from anyio import CapacityLimiter
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware

from app.api import (
    account_store,
    addresses,
    analysis,
    assessments,
    border,
    boundary_exports,
    bulletin,
    cells,
    devices,
    exports,
    feeds,
    handlers,
    indicators,
    live,
    meta,
    ogc,
    ogc_tiles,
    oidc,
    operation,
    pages,
    runs,
    saved_areas,
    sessions,
    tiles,
    treaties,
    units,
    zones,
)
from app.api import accounts as accounts_api
from app.api import alerts as alerts_api
from app.api import area_exports as area_exports_api
from app.api import areas as areas_api
from app.api import audit as audit_api
from app.api import jobs as jobs_api
from app.api import loop as loop_api
from app.api import tasks as tasks_api
from app.api.dependencies import Store, known_parameters
from app.api.envelope import Envelope
from app.api.fast_values import FastValues
from app.api.stale import StaleAnswers
from app.api.telemetry import RouteNote, Telemetry
from app.database import make_audit_engine, make_engine, make_web_engine, resolve_url
from app.logs import configure
from app.security.doorkeeper import Doorkeeper
from app.security.identity import LOCAL
from app.security.leaving import Leaving
from app.security.limits import Budgets, Limits
from app.security.oidc import Talk, load_providers
from app.services.accounts_doors import Doors
from app.services.address_resolve import Addresses
from app.services.areas import Areas, warm
from app.services.audit import Audit, Sealer
from app.services.border import Borders
from app.services.caches import ScopedCaches
from app.services.device_clock import DeviceClock
from app.services.device_ingest import Ingest
from app.services.feed_take import Taker
from app.services.job_runner import Runner
from app.services.kept import Kept
from app.services.live import CHANNEL, Clock, DoorsHeard, Hub, ending
from app.services.manifest import VERSION
from app.services.metrics import Metrics
from app.services.run_watch import ACCOUNTS, RUNS, RunWatch
from app.services.snapshot_keeper import Keeper
from app.services.task_clock import TaskClock
from app.services.task_keys import read_keys
from app.services.units import unit_table
from app.settings import Settings, load

DESCRIPTION = """A five-colour risk map: exposure-adjusted, small-count-safe, and able to say why.

A **run** is an immutable assessment; its number is part of every address below, so answers may be
kept as long as the run exists. Every error has one body (`ErrorBody`). 404 means well-formed but
not there, 422 malformed; a query parameter nobody knows is an error. Times are ISO 8601; periods
are local calendar. Longitude comes before latitude.
"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the engine at start (the private cluster too, when there is no URL), close it at end."""
    settings: Settings = app.state.settings
    url = await run_in_threadpool(resolve_url, settings)
    # what the installation does by itself, and what is done for those who ask
    app.state.engine = make_engine(url, settings.database)
    app.state.web = make_web_engine(url, settings.database)
    entries = make_audit_engine(
        url,
        settings.database,
        durable=settings.audit.durable,
        patience_ms=settings.audit.patience_ms,
    )
    app.state.audit = Audit(entries, settings.audit)
    app.state.caches = ScopedCaches()
    # snapshots hold everything; `areas.ask` cuts every area to the jurisdiction of who asks
    whole = app.state.caches.of(LOCAL.scope_key)
    store = Store(app.state.engine, LOCAL, whole, settings.database.statement_timeout_ms)
    app.state.areas = Areas(store.read, whole, settings.data_dir, settings.time_zone)
    keeper = Keeper(app.state.engine, url, settings, partial(warm, app.state.areas))
    keeper.start()
    app.state.doors.open(app.state.engine)
    app.state.hashing = CapacityLimiter(account_store.HASHING)
    app.state.live = Hub()
    app.state.addresses = Addresses()
    app.state.borders = Borders(
        app.state.engine,
        settings.data_dir,
        lambda connection, version: unit_table(connection, whole, version),
    )
    watch = RunWatch(
        url,
        {
            RUNS: app.state.kept,
            ACCOUNTS: DoorsHeard(app.state.doors.known, app.state.live),
            CHANNEL: app.state.live,
        },
    )
    watch.start()
    clock = Clock(app.state.engine)
    clock.start()
    tasks_clock = TaskClock(app.state.engine, app.state.task_keys, settings.time_zone)
    tasks_clock.start()
    app.state.ingest = Ingest(app.state.engine, settings)
    app.state.taker = Taker(app.state.engine, settings.data_dir / "locate")
    device_clock = DeviceClock(app.state.engine, app.state.borders, settings)
    device_clock.start()
    sealer = Sealer(app.state.engine, settings.audit)
    sealer.start()
    app.state.runner = Runner(app.state.engine, url, settings)
    app.state.runner.start()
    try:
        with ending(app.state.live):
            yield
    finally:
        await run_in_threadpool(device_clock.stop)
        await run_in_threadpool(clock.stop)
        await run_in_threadpool(tasks_clock.stop)
        await run_in_threadpool(app.state.runner.stop)
        await run_in_threadpool(sealer.stop)
        await run_in_threadpool(watch.stop)
        await run_in_threadpool(keeper.stop)
        entries.dispose()
        app.state.web.dispose()
        app.state.engine.dispose()


def create_app(settings: Settings) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    settings : everything it depends on; nothing else is read
    """
    app = FastAPI(
        title="Wusetu",
        version=VERSION,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_url="/api/openapi.json",
        docs_url=None,  # the usual pages load their scripts from other hosts
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(known_parameters)],
        generate_unique_id_function=_operation_id,
    )
    app.state.settings = settings
    app.state.kept = Kept()
    app.state.metrics = Metrics()
    app.state.budgets = Budgets(settings.limits)
    app.state.doors = Doors(settings.accounts)
    app.state.task_keys = read_keys(settings.tasks.keys_file)
    providers = load_providers(settings.accounts.oidc_file)
    app.state.oidc = {name: Talk(one) for name, one in providers.items()}
    handlers.install(app)
    for part in (meta, operation, runs, assessments, cells, exports, units, tiles):
        app.include_router(part.router)
    app.include_router(areas_api.router)
    app.include_router(addresses.router)
    app.include_router(border.router)
    app.include_router(indicators.router)
    app.include_router(zones.router)
    app.include_router(devices.router)
    app.include_router(feeds.router)
    app.include_router(treaties.router)
    app.include_router(live.router)
    app.include_router(alerts_api.router)
    app.include_router(tasks_api.router)
    app.include_router(loop_api.router)
    app.include_router(analysis.router)
    app.include_router(saved_areas.router)
    app.include_router(area_exports_api.router)
    app.include_router(boundary_exports.router)
    app.include_router(bulletin.router)
    app.include_router(jobs_api.router)
    app.include_router(ogc.router)
    app.include_router(ogc_tiles.router)
    app.include_router(sessions.router)
    app.include_router(accounts_api.router)
    app.include_router(oidc.router)
    app.include_router(audit_api.router)
    pages.install(app)
    app.add_middleware(RouteNote)
    app.add_middleware(StaleAnswers)
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=4)
    app.add_middleware(Leaving)  # inside of what is answered from memory
    app.add_middleware(FastValues)  # outside of compression: values are kept compressed
    tiles.install(app)  # so are tiles
    app.add_middleware(Limits)
    app.add_middleware(Doorkeeper)  # nothing but the envelope stands before it
    app.add_middleware(Envelope)
    app.add_middleware(Telemetry)
    return app


def _operation_id(route: APIRoute) -> str:
    """Name of a route's function in camel case: what generated clients call it."""
    first, *rest = route.name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def application() -> FastAPI:
    """Make the application from the environment: the factory for uvicorn."""
    settings = load()
    configure(settings.log)
    made = create_app(settings)
    # what is there now stays: looking through all of it would halt every answer for a quarter second,
    # whenever a polygon with thousands of corners has been read
    gc.collect()
    gc.freeze()
    return made
