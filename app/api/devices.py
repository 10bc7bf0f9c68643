"""Devices, their readings, rules and alarms over HTTP. Wiring only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AwareDatetime

from app.api.auditing import AuditDep
from app.api.border import BorderDep, BordersDep
from app.api.dependencies import NO_STORE, Door, Store, Within, errors
from app.api.device_models import (
    Alarm,
    AlarmClear,
    AlarmList,
    AlarmState,
    DeviceBatch,
    DeviceList,
    DeviceReport,
    DeviceRule,
    DeviceState,
    ReadingBatch,
    ReadingList,
    ReadingReport,
    RefusedRow,
    RuleDraft,
    RuleList,
)
from app.errors import Invalid
from app.services import border as places
from app.services import device_alarms, device_rules
from app.services import devices as service
from app.services.device_ingest import Ingest

router = APIRouter(tags=["devices"])
ReadingsDep = Annotated[Store, Depends(Door("device:write"))]
ManageDep = Annotated[Store, Depends(Door("device:manage"))]
AlarmDep = Annotated[Store, Depends(Door("alarm:write"))]
RecordsDep = Annotated[Store, Depends(Door("see_records"))]
DeviceNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the device")]
RuleNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the rule")]
AlarmNumber = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of the alarm")]
OnlyPack = Annotated[
    str | None, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Only of this map")
]


def ingest_of(request: Request) -> Ingest:
    """Return what takes readings in."""
    found: Ingest = request.app.state.ingest
    return found


IngestDep = Annotated[Ingest, Depends(ingest_of)]


@router.get(
    "/api/devices",
    operation_id="listDevices",
    summary="Devices: one's own, and those in zones in force",
    responses=errors(404, 422, 503),
)
def list_devices(
    *,
    response: Response,
    store: BorderDep,
    borders: BordersDep,
    pack: OnlyPack = None,
    within: Within = None,
    state: Annotated[DeviceState | None, Query(description="Only in this state")] = None,
    kind: Annotated[
        str | None,
        Query(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Only of this kind of device"),
    ] = None,
    alarming: Annotated[bool, Query(description="Only those with an alarm")] = False,
    limit: Annotated[int, Query(ge=1, le=20_000, description="At most so many")] = 5_000,
) -> DeviceList:
    """Place, state, last sign of life and alarm; `within` needs `pack`, and gives one's own only."""
    response.headers["Cache-Control"] = NO_STORE
    if within is not None and pack is None:
        raise Invalid("within needs pack", {"field": "within", "reason": "no_pack"})
    with store.read() as connection:
        if within is not None and pack is not None:
            within = borders.map(connection, pack).table.canonical(within) or within
        return service.devices(connection, pack, within, state, kind, alarming, limit)


@router.post(
    "/api/devices",
    operation_id="enterDevices",
    summary="Enter or change devices of one's own",
    responses=errors(404, 409, 422, 503),
)
def enter_devices(*, batch: DeviceBatch, store: ManageDep, borders: BordersDep) -> DeviceReport:
    """Side and reference decide; a bad device is refused with its reason, the others are kept."""
    with store.write() as connection:
        return service.enter(borders, connection, store.identity, batch.pack, batch.devices)


@router.post(
    "/api/devices/readings",
    operation_id="sendReadings",
    summary="Send readings of one's own devices",
    responses=errors(422, 503),
)
def send_readings(*, batch: ReadingBatch, store: ReadingsDep, ingest: IngestDep) -> ReadingReport:
    """Device, time and seq decide, so that sending again is harmless. Rules look at once."""
    names = [
        row["device"]
        for row in batch.readings
        if isinstance(row, dict)
        and isinstance(row.get("device"), str)
        and "\0" not in row["device"]
    ]
    with store.read() as connection:
        own = service.writable(connection, batch.pack, names)
    done = ingest.take(batch.pack, batch.readings, side=batch.side, allowed=own)
    return ReadingReport(
        stored=done.stored,
        known=done.known,
        refused=[
            RefusedRow(row=one.n, field=one.field, reason=one.reason, text=one.text)
            for one in done.refused
        ],
        alarms=len(done.alarms),
    )


@router.get(
    "/api/devices/rules",
    operation_id="listDeviceRules",
    summary="Rules of one's own devices",
    responses=errors(422, 503),
)
def list_device_rules(*, response: Response, store: BorderDep, pack: OnlyPack = None) -> RuleList:
    """Their present versions."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return RuleList(rules=device_rules.rules(connection, pack))


@router.post(
    "/api/devices/rules",
    operation_id="makeDeviceRule",
    summary="Make a rule for devices of one's own",
    status_code=201,
    responses=errors(404, 409, 422, 503),
)
def make_device_rule(*, draft: RuleDraft, store: ManageDep, borders: BordersDep) -> DeviceRule:
    """Threshold, duration, silence, night hours, repetition and neighbours, together."""
    with store.write() as connection:
        return device_rules.make(borders, connection, store.identity, draft)


@router.get(
    "/api/devices/rules/{rule}",
    operation_id="deviceRule",
    summary="One rule",
    responses=errors(404, 422, 503),
)
def device_rule(*, rule: RuleNumber, response: Response, store: BorderDep) -> DeviceRule:
    """Its present version."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return device_rules.one_rule(connection, rule)


@router.put(
    "/api/devices/rules/{rule}",
    operation_id="changeDeviceRule",
    summary="Give a rule another version",
    responses=errors(404, 409, 422, 503),
)
def change_device_rule(
    *, rule: RuleNumber, draft: RuleDraft, store: ManageDep, borders: BordersDep
) -> DeviceRule:
    """End the present version; alarms keep the one that raised them."""
    with store.write() as connection:
        return device_rules.change(borders, connection, store.identity, rule, draft)


@router.delete(
    "/api/devices/rules/{rule}",
    operation_id="endDeviceRule",
    summary="End a rule",
    status_code=204,
    responses=errors(404, 409, 422, 503),
)
def end_device_rule(*, rule: RuleNumber, store: ManageDep) -> None:
    """Its past is kept."""
    with store.write() as connection:
        device_rules.end(connection, store.identity, rule)


@router.delete(
    "/api/devices/{device}",
    operation_id="retireDevice",
    summary="Take a device of one's own out of the registry",
    status_code=204,
    responses=errors(404, 409, 422, 503),
)
def retire_device(*, device: DeviceNumber, store: ManageDep) -> None:
    """Its past is kept; entered again by its reference, it comes back."""
    with store.write() as connection:
        service.retire(connection, store.identity, device)


@router.get(
    "/api/devices/{device}/readings",
    operation_id="deviceReadings",
    summary="What a device of one's own said, newest first",
    responses=errors(404, 422, 503),
)
def device_readings(
    *,
    device: DeviceNumber,
    response: Response,
    store: RecordsDep,
    before: Annotated[
        AwareDatetime | None, Query(description="Only before this moment, with its offset")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="At most so many")] = 500,
    auditing: AuditDep,
) -> ReadingList:
    """Never of another side's device: there it is 404. Written into the audit."""
    response.headers["Cache-Control"] = NO_STORE
    asked = {"device": device, "before": before and before.isoformat(), "limit": limit}
    with auditing.entry("see_records", question=asked) as entry:
        with store.read() as connection:
            found = service.readings(connection, device, before, limit)
        entry.rows = len(found.readings)
    return found


@router.get(
    "/api/alarms",
    operation_id="listAlarms",
    summary="Alarms of one's own devices, and of those in zones in force",
    responses=errors(422, 503),
)
def list_alarms(
    *,
    response: Response,
    store: BorderDep,
    pack: OnlyPack = None,
    state: Annotated[AlarmState | None, Query(description="Only in this state")] = None,
    limit: Annotated[int, Query(ge=1, le=5_000, description="At most so many")] = 200,
) -> AlarmList:
    """Newest first."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return AlarmList(
            alarms=device_alarms.alarms(connection, pack=pack, state=state, limit=limit),
            as_of=places.now(connection),
        )


@router.post(
    "/api/alarms/{alarm}/clear",
    operation_id="clearAlarm",
    summary="Clear an alarm of one's own device",
    responses=errors(404, 409, 422, 503),
)
def clear_alarm(*, alarm: AlarmNumber, given: AlarmClear, store: AlarmDep) -> Alarm:
    """Needs a reason; audited, and told to both sides. What goes on is not raised again."""
    with store.write() as connection:
        return device_alarms.clear(connection, store.identity, alarm, given.reason)
