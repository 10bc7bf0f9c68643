"""Made-up events with planted risks: what an import, a map and a test can be held against.

May import numpy, pyarrow and shapely. Pure and deterministic: chance comes from the generator
passed in, the calendar from the arguments; there is no clock. Events are places, times and kinds;
nothing here stands for a person.

Counts are Poisson with mean

    N_k · season_k(month) · share_ki · background_ki · relative risk planted

where `share` is the exposure share of kind k in leaf unit i, `background` a lasting lognormal
heterogeneity of the unit (sd about .2) that is in no exposure table. Then every event gets an hour
of the week, a point in its unit, and the way in which the file tells where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]

COLUMNS = ("reference", "kind", "occurred_at", "lon", "lat", "code", "address")
FULL_LENGTH = 27  # digits of a whole unified code: what follows a grid is building … room


@dataclass(frozen=True)
class Kind:
    """What the simulator knows of an event kind.

    Attributes
    ----------
    word
        How the file calls it.
    weight
        Part of all events.
    season
        Relative strength per calendar month, 12 values.
    hours
        Relative strength per hour of the day, 24 values.
    weekend
        Strength of Saturday and Sunday against a working day.
    """

    word: str
    weight: float
    season: tuple[float, ...] = (1.0,) * 12
    hours: tuple[float, ...] = (1.0,) * 24
    weekend: float = 1.0


@dataclass(frozen=True)
class Plant:
    """A planted risk: events of `kind` (none: of every kind) below `code`, `[first, last)`."""

    code: str
    kind: str | None
    first: date
    last: date
    relative_risk: float
    story: str = ""


@dataclass(frozen=True)
class Places:
    """Leaf units to put events into.

    Attributes
    ----------
    codes
        `(n,)` canonical codes, 15 digits, ascending.
    shapes
        `(n,)` polygons, EPSG:4326.
    share
        `(K, n)` exposure share per kind, rows adding up to 1; no nan.
    address
        `(n,)` what an address of the unit begins with.
    grid_name
        `(n,)` last part of the address when it goes down to the unit itself.
    """

    codes: Objects
    shapes: Objects
    share: Floats
    address: Objects
    grid_name: Objects


@dataclass(frozen=True)
class Mix:
    """How the file tells where; parts of all events, the rest has a point and a code.

    `coarse` is the part of the code-only events that know no more than the village or town;
    `disagree` the part of the events with both whose code is that of another unit;
    `background` the sd of the lasting heterogeneity.
    """

    point_only: float = 0.11
    code_only: float = 0.06
    coarse: float = 0.2
    address_only: float = 0.045
    nowhere: float = 0.015
    disagree: float = 0.006
    background: float = 0.2


@dataclass(frozen=True)
class Bad:
    """How many broken rows of each sort are mixed in (names are the reasons of the import)."""

    unknown_kind: int = 40
    missing_kind: int = 20
    implausible_time: int = 40
    bad_time: int = 20
    swapped: int = 40
    outside: int = 40
    half_point: int = 20
    code_length: int = 40
    code_mangled: int = 40
    code_digits: int = 20
    unknown_code: int = 20
    missing_reference: int = 30
    repeated_reference: int = 30


@dataclass(frozen=True)
class Simulation:
    """A file's worth of events and the truth about them.

    Attributes
    ----------
    table
        Columns `COLUMNS`; times are local text `YYYY-MM-DD hh:mm:ss`, missing values null.
    unit, kind
        `(rows,)` true leaf index and kind index of each good row, −1 for a broken one.
    located
        How many good rows tell their place in which way.
    disagreeing
        Good rows whose code is not that of their point.
    bad
        Broken rows by reason.
    """

    table: pa.Table
    unit: Ints
    kind: Ints
    located: Mapping[str, int]
    disagreeing: int
    bad: Mapping[str, int] = field(default_factory=dict)


def month_starts(first: date, last: date) -> list[date]:
    """First days of the whole months in `[first, last)`, and `last` itself at the end."""
    found = [date(first.year + m // 12, m % 12 + 1, 1) for m in range(first.month - 1, 1200)]
    return [day for day in found if day < last] + [last]


def expected_counts(
    places: Places,
    kinds: Mapping[str, Kind],
    *,
    events: float,
    months: Sequence[date],
    plants: Sequence[Plant],
    background: Floats,
) -> Floats:
    """Means of the counts: `(K, T, n)`, T = len(months) − 1 whole months.

    A plant that begins or ends inside a month counts by the days it holds. Several plants on one
    unit multiply. Without plants the means add up to about `events`; plants come on top.
    """
    days = np.array([(b - a).days for a, b in pairwise(months)])
    names = list(kinds)
    mean = np.empty((len(names), len(days), len(places.codes)))
    total = sum(kind.weight for kind in kinds.values())
    for k, kind in enumerate(kinds.values()):
        strength = days * np.array([kind.season[m.month - 1] for m in months[:-1]])
        mean[k] = (
            events * kind.weight / total * (strength / strength.sum())[:, None]
            * (places.share[k] * background[k])[None, :]
        )  # fmt: skip
    risk = np.ones_like(mean)
    codes = places.codes.astype(str)
    for plant in plants:
        # codes ascend, so everything below a prefix is one range
        below = slice(*np.searchsorted(codes, [plant.code, plant.code + "~"]).tolist())
        if below.start == below.stop:
            raise ValueError(f"no leaf unit below {plant.code}")
        rows = range(len(names)) if plant.kind is None else [names.index(plant.kind)]
        for t, (start, end) in enumerate(pairwise(months)):
            held = (min(end, plant.last) - max(start, plant.first)).days / days[t]
            if held > 0:
                for k in rows:
                    risk[k, t, below] *= 1 + held * (plant.relative_risk - 1)
    mean *= risk
    return mean


def lasting_background(
    places: Places,
    kinds: int,
    rng: np.random.Generator,
    sd: float,
    lengths: Sequence[int] = (9, 12),
) -> Floats:
    """Lognormal factor per kind and unit, mean 1: `(K, n)`.

    The variance is split evenly over the given code prefixes and the unit itself, so that coarser
    units differ too.
    """
    n = len(places.codes)
    log = np.zeros((kinds, n))
    part = sd / np.sqrt(len(lengths) + 1)
    codes = places.codes.astype(str)
    for length in lengths:
        _, group = np.unique([c[:length] for c in codes], return_inverse=True)
        log += part * rng.standard_normal((kinds, int(group.max()) + 1))[:, group]
    log += part * rng.standard_normal((kinds, n))
    return np.asarray(np.exp(log - sd**2 / 2))


def points_in(shapes: Objects, unit: Ints, rng: np.random.Generator) -> Floats:
    """One uniform point inside `shapes[unit]` for each entry of `unit`: `(m, 2)` degrees."""
    shapely.prepare(shapes)
    bounds = shapely.bounds(shapes)
    out = np.empty((len(unit), 2))
    todo = np.argsort(unit, kind="stable")  # a shape stays in the cache while it is asked
    for _ in range(60):
        box = bounds[unit[todo]]
        point = box[:, :2] + rng.random((len(todo), 2)) * (box[:, 2:] - box[:, :2])
        # as the file will write it: the rounded point is the one that must be inside
        point = np.round(point, 6)
        inside = shapely.contains_xy(shapes[unit[todo]], point[:, 0], point[:, 1])
        out[todo[inside]] = point[inside]
        todo = todo[~inside]
        if not len(todo):
            return out
    inner = shapely.point_on_surface(shapes[unit[todo]])
    out[todo] = np.column_stack([shapely.get_x(inner), shapely.get_y(inner)])
    return out


def hours_of(
    kind: Kind, first: date, last: date, n: int, rng: np.random.Generator
) -> npt.NDArray[np.datetime64]:
    """Draw `n` local times in `[first, last)` by hour of the day and weekend: datetime64[s] (n,)."""
    days = (last - first).days
    weekday = (np.arange(days) + first.weekday()) % 7
    day = np.where(weekday >= 5, kind.weekend, 1.0)
    weight = (day[:, None] * np.array(kind.hours)[None, :]).ravel()
    edge = np.cumsum(weight)
    hour = np.minimum(np.searchsorted(edge, rng.random(n) * edge[-1], side="right"), len(edge) - 1)
    second = hour * 3600 + rng.integers(0, 3600, n)
    found: npt.NDArray[np.datetime64] = np.datetime64(first, "s") + second.astype("timedelta64[s]")
    return found


def simulate(
    places: Places,
    kinds: Mapping[str, Kind],
    *,
    events: int,
    first: date,
    last: date,
    plants: Sequence[Plant],
    rng: np.random.Generator,
    mix: Mix | None = None,
    bad: Bad | None = None,
    prefix: str = "S",
) -> Simulation:
    """Make up events of whole months `[first, last)`.

    Parameters
    ----------
    places, kinds, plants
        Where, what and with which planted risks.
    events
        About how many, without what the plants add.
    first, last
        Local calendar days, both the first of a month.
    rng
        The only source of chance.
    mix, bad
        Ways of telling the place; broken rows.
    prefix
        What references begin with.

    Returns
    -------
    Simulation
        Rows in order of time, broken rows scattered between them.
    """
    mix, bad = mix or Mix(), bad or Bad()
    months = month_starts(first, last)
    background = lasting_background(places, len(kinds), rng, mix.background)
    means = expected_counts(
        places, kinds, events=events, months=months, plants=plants, background=background
    )
    counts = rng.poisson(means)
    kind, month, unit = (
        np.repeat(index, counts.ravel()) for index in np.indices(counts.shape).reshape(3, -1)
    )
    when = np.empty(len(unit), dtype="datetime64[s]")
    start = np.searchsorted(kind * len(months) + month, np.arange(len(kinds) * len(months) + 1))
    for k, one in enumerate(kinds.values()):
        for t in range(len(months) - 1):
            a, b = start[k * len(months) + t], start[k * len(months) + t + 1]
            when[a:b] = hours_of(one, months[t], months[t + 1], int(b - a), rng)
    order = np.lexsort((unit, kind, when))
    kind, unit, when = kind[order], unit[order], when[order]
    words = np.array([one.word for one in kinds.values()], dtype=object)
    point = points_in(places.shapes, unit, rng)
    rows, located, disagreeing = _tell_places(places, unit, point, mix, rng)
    rows["reference"] = np.array([f"{prefix}{i:07d}" for i in range(1, len(unit) + 1)], object)
    rows["kind"] = words[kind]
    text = pa.array(when, pa.timestamp("s")).cast(pa.string())  # 2024-01-01 00:00:41
    rows["occurred_at"] = text.to_numpy(zero_copy_only=False)
    spoiled, tally = _spoil(rows, bad, rng)
    good = len(unit)
    order = _scatter(good, spoiled, rng)
    table = pa.table(
        {
            name: pa.array(
                np.concatenate([rows[name], spoiled[name]])[order],
                pa.float64() if name in ("lon", "lat") else pa.string(),
                from_pandas=True,
            )
            for name in COLUMNS
        }
    )
    filler = np.full(len(spoiled["kind"]), -1)
    return Simulation(
        table,
        np.concatenate([unit, filler])[order],
        np.concatenate([kind, filler])[order],
        located,
        disagreeing,
        tally,
    )


def _tell_places(
    places: Places, unit: Ints, point: Floats, mix: Mix, rng: np.random.Generator
) -> tuple[dict[str, Objects | Floats], dict[str, int], int]:
    """Columns lon, lat, code, address; how many rows tell their place how; how many disagree."""
    n = len(unit)
    parts = (mix.point_only, mix.code_only, mix.address_only, mix.nowhere)
    way = np.searchsorted(np.cumsum(parts), rng.random(n), side="right")
    point_only, code_only, address_only, nowhere, both = (way == w for w in range(5))
    lon, lat = point[:, 0].copy(), point[:, 1].copy()
    lon[~(both | point_only)] = np.nan
    lat[~(both | point_only)] = np.nan

    told = unit.copy()
    wrong = np.flatnonzero(both & (rng.random(n) < mix.disagree))
    told[wrong] = (told[wrong] + 1 + rng.integers(0, len(places.codes) - 1, len(wrong))) % len(
        places.codes
    )
    code = places.codes[told]
    # some feeds write the whole 27 digits: zero-filled, or down to the room
    style = rng.random(n)
    filled = np.flatnonzero((style < 0.25) & (both | code_only))
    code[filled] = [c.ljust(FULL_LENGTH, "0") for c in code[filled]]
    room = np.flatnonzero((style >= 0.25) & (style < 0.4) & (both | code_only))
    number = np.column_stack([rng.integers(1, high, len(room)) for high in (40, 4, 33, 9)])
    code[room] = [
        f"{c}{b:04d}{u:02d}{f:02d}{r:04d}"
        for c, (b, u, f, r) in zip(code[room], number.tolist(), strict=True)
    ]
    coarse = np.flatnonzero(code_only & (rng.random(n) < mix.coarse))
    length = np.where(rng.random(len(coarse)) < 0.75, 12, 9)
    code[coarse] = [c[:m] for c, m in zip(places.codes[unit[coarse]], length, strict=True)]
    code[~(both | code_only)] = None

    address = np.full(n, None, dtype=object)
    wordy = np.flatnonzero(address_only | (both & (rng.random(n) < 0.3)))
    door = rng.integers(1, 300, len(wordy))
    to_grid = rng.random(len(wordy)) < 0.3
    address[wordy] = [
        f"{places.address[u]}{places.grid_name[u] if fine else ''}{d}号"
        for u, d, fine in zip(unit[wordy].tolist(), door.tolist(), to_grid.tolist(), strict=True)
    ]
    located = {
        "point and code": both, "point": point_only, "code": code_only,
        "address": address_only, "none": nowhere,
    }  # fmt: skip
    rows: dict[str, Objects | Floats] = {"lon": lon, "lat": lat, "code": code, "address": address}
    return rows, {name: int(mask.sum()) for name, mask in located.items()}, len(wrong)


def _spoil(
    rows: Mapping[str, Objects | Floats], bad: Bad, rng: np.random.Generator
) -> tuple[dict[str, Objects], Counter[str]]:
    """Broken rows: copies of good ones with a point, each broken in one way."""
    tally = Counter({reason: count for reason, count in vars(bad).items() if count})
    total = sum(tally.values())
    donors = np.flatnonzero(np.isfinite(np.asarray(rows["lon"], dtype=np.float64)))
    pick = np.sort(rng.choice(donors, total)) if len(donors) else np.zeros(0, dtype=np.int64)
    out = {name: np.asarray(rows[name], dtype=object)[pick] for name in COLUMNS}
    reasons = np.repeat(list(tally), list(tally.values()))
    rng.shuffle(reasons)
    if not len(pick):
        return out, Counter()
    given = out["reference"].copy()
    out["reference"] = np.array([f"BAD{i:05d}" for i in range(1, total + 1)], dtype=object)

    def at(reason: str) -> Ints:
        return np.flatnonzero(reasons == reason)

    out["kind"][at("unknown_kind")] = "外星人"
    out["kind"][at("missing_kind")] = None
    for i, row in enumerate(at("implausible_time")):
        out["occurred_at"][row] = ("1900", "2100")[i % 2] + out["occurred_at"][row][4:]
    out["occurred_at"][at("bad_time")] = "昨天下午"
    rows_of = at("swapped")
    out["lon"][rows_of], out["lat"][rows_of] = out["lat"][rows_of], out["lon"][rows_of].copy()
    sea = at("outside")
    out["lon"][sea], out["lat"][sea] = 123.5, 29.5
    out["lat"][at("half_point")] = np.nan
    for reason in ("outside", "unknown_code"):
        out["code"][at(reason)] = None
        out["address"][at(reason)] = None
    for reason, code in (
        ("code_length", "33010200100100100010203001"),  # 26 digits
        ("code_mangled", "3.30102E+26"),
        ("code_digits", "330102O01"),  # the letter O
        ("unknown_code", "999999001"),
    ):
        out["code"][at(reason)] = code
    lost = at("unknown_code")
    out["lon"][lost], out["lat"][lost] = np.nan, np.nan
    out["reference"][at("missing_reference")] = None
    again = at("repeated_reference")
    out["reference"][again] = given[again]
    return out, tally


def _scatter(good: int, spoiled: Mapping[str, Objects], rng: np.random.Generator) -> Ints:
    """Order of all rows: broken ones anywhere, but after the row whose reference they repeat."""
    count = len(spoiled["kind"])
    slot = rng.integers(0, good + 1, count).astype(np.float64)
    for i, reference in enumerate(spoiled["reference"]):
        if reference is None or str(reference).startswith("BAD"):
            # one unreadable time makes a reader slow for its whole batch: keep them together
            if str(spoiled["occurred_at"][i])[:1] not in "12":
                slot[i] = good
            continue
        slot[i] = good
    key = np.concatenate([np.arange(good) + 0.5, slot])
    return np.argsort(key, kind="stable").astype(np.int64)
