"""Kernels of devices against twins that look at all readings at once."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyproj
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geo import devices as kernel
from geo.devices import Heard, Limits, Near, Rule, Track

BEGIN = datetime(2026, 3, 28, 12, tzinfo=UTC)
SHANGHAI, VIENNA = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Vienna")

#: Readings as (seconds after the one before, value or a sign of life), ascending.
SAID = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 60, 300, 350, 351]) | st.integers(0, 400),
        st.none() | st.integers(0, 6).map(float),
    ),
    max_size=40,
)
NIGHTS = st.none() | st.tuples(st.integers(0, 23), st.integers(0, 59)).map(
    lambda pair: (time(pair[0]), time((pair[0] + 1 + pair[1] % 22) % 24, pair[1]))
)


def spread(
    said: list[tuple[int, float | None]], pace: int = 1
) -> list[tuple[datetime, float | None]]:
    """Times of readings; `pace` stretches them over days."""
    at, found = BEGIN, []
    for seconds, value in said:
        at += timedelta(seconds=seconds * pace)
        found.append((at, value))
    return found


def counted(at: datetime, night: tuple[time, time] | None, zone: ZoneInfo) -> bool:
    """Night by minutes of the local day, one by one."""
    if night is None:
        return True
    local = at.astimezone(zone)
    minute = local.hour * 60 + local.minute
    begin, end = (one.hour * 60 + one.minute for one in night)
    wanted, now = set(), begin
    while now != end:
        wanted.add(now)
        now = (now + 1) % 1440
    return minute in wanted


def fulfilled(
    rule: Rule, readings: list[tuple[datetime, float | None]], n: int, gap: timedelta
) -> bool:
    """Whether reading n fulfils a rule: some run that ends there is long enough."""
    sign = 1 if rule.sense == "above" else -1
    reset = rule.level if rule.reset is None else rule.reset
    given_ = [(at, sign * value) for at, value in readings[: n + 1] if value is not None]
    if not given_ or readings[n][1] is None:
        return False
    for first in range(len(given_)):
        run = given_[first:]
        if (
            run[0][1] >= sign * rule.level
            and all(value >= sign * reset for _, value in run)
            and all(counted(at, rule.night, rule.zone) for at, _ in run)  # type: ignore[arg-type]
            and all(b[0] - a[0] <= gap for a, b in itertools.pairwise(run))
            and run[-1][0] - run[0][0] >= rule.hold
        ):
            return True
    return False


@example([(0, 5.0), (350, 5.0)], "above", 0, 300, None, SHANGHAI, 1)  # a pause as long as allowed
@given(
    SAID, st.sampled_from(["above", "below"]), st.integers(0, 3), st.sampled_from([0, 1, 300, 900]),
    NIGHTS, st.sampled_from([SHANGHAI, VIENNA]), st.sampled_from([1, 60]),
)  # fmt: skip
def test_threshold_duration_reset_and_night(
    said: list[tuple[int, float | None]], sense: str, slack: int, hold: int,
    night: tuple[time, time] | None, zone: ZoneInfo, pace: int,
) -> None:  # fmt: skip
    readings = spread(said, pace)
    rule = Rule(
        sense=sense, level=3.0, zone=zone, reset=3.0 - slack if sense == "above" else 3.0 + slack,  # type: ignore[arg-type]
        hold=timedelta(seconds=hold * pace), night=night,
    )  # fmt: skip
    gap = timedelta(seconds=350 * pace)
    track, last = Track(), None
    for n, (at, value) in enumerate(readings):
        track = kernel.step(rule, track, at, value, gap)
        if value is None:
            continue
        wanted = fulfilled(rule, readings, n, gap)
        assert track.hit == wanted, (n, at)
        last = at if wanted else last
        assert track.hit_at == last
        assert track.at == at


@given(SAID, st.permutations(range(6)))
def test_what_comes_late_changes_no_run(
    said: list[tuple[int, float | None]], order: list[int]
) -> None:
    rule = Rule(sense="above", level=3.0, zone=UTC)
    gap = timedelta(hours=1)
    track = Track()
    for at, value in spread(said):
        track = kernel.step(rule, track, at, value, gap)
    if track.at is None:
        return
    for n in order:
        assert kernel.step(rule, track, track.at - timedelta(seconds=n + 1), 9.0, gap) == track


@given(
    SAID,
    st.randoms(use_true_random=False),
    st.integers(0, 5),
    st.integers(1, 40),
    NIGHTS,
    st.integers(0, 80),
)
def test_silence(
    said: list[tuple[int, float | None]], random: object, level: int, hold: int,
    night: tuple[time, time] | None, later: int,
) -> None:  # fmt: skip
    """Whatever order readings come in: silent since the newest value above the level."""
    readings = spread(said, 60)
    mixed = list(readings)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    rule = Rule(
        sense="silence", level=float(level), zone=SHANGHAI, hold=timedelta(hours=hold), night=night
    )
    track = Track()
    for at, value in mixed:
        track = kernel.step(rule, track, at, value, timedelta(0))
    flows = [at for at, value in readings if value is not None and value > level]
    assert track.since == (max(flows) if flows else None)
    now = BEGIN + timedelta(hours=later)
    last = track.since or BEGIN
    quiet = not any(now - timedelta(hours=hold) < at for at in [*flows, BEGIN])
    assert kernel.silent(rule, last, now, "online") == (quiet and counted(now, night, SHANGHAI))
    assert not kernel.silent(rule, last, now, "offline")


def test_a_flow_ends_a_silence() -> None:
    rule = Rule(sense="silence", level=0.0, zone=UTC, hold=timedelta(hours=20))
    track = Track(BEGIN, BEGIN, hit=True, hit_at=BEGIN)
    gap = timedelta(minutes=5)
    assert kernel.step(rule, track, BEGIN + timedelta(hours=1), 0.0, gap).hit
    assert not kernel.step(rule, track, BEGIN + timedelta(hours=1), 0.1, gap).hit
    unheard = Rule(sense="silence", level=0.0, zone=UTC, hold=timedelta(hours=20), heard=False)
    assert kernel.silent(unheard, BEGIN, BEGIN + timedelta(hours=20), "offline")


@given(NIGHTS.filter(bool), st.integers(0, 2879))
def test_hours_of_the_night(night: tuple[time, time], minute: int) -> None:
    for at in (
        BEGIN + timedelta(minutes=minute),
        datetime.combine(BEGIN, night[minute % 2], SHANGHAI),
    ):
        assert kernel.in_night(at, night, SHANGHAI) == counted(at, night, SHANGHAI)


def test_the_night_the_clocks_go_forward() -> None:
    """29 March 2026, 01:00Z: Vienna's 2 o'clock is 3 o'clock."""
    night = (time(2, 30), time(4))
    asked = [datetime(2026, 3, 29, 0, 45, tzinfo=UTC), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)]
    assert [kernel.in_night(one, night, VIENNA) for one in asked] == [False, True]


@given(st.lists(st.integers(0, 900), max_size=30), st.integers(0, 1200))
def test_repeated_alarms(pauses: list[int], quiet: int) -> None:
    """Taken one after the other: an alarm is the same when its last raising is not long ago."""
    at, raised = BEGIN, []
    for pause in pauses:
        at += timedelta(seconds=pause)
        raised.append(at)
    last, groups = None, 0
    for one in raised:
        if last is None or not kernel.same_alarm(last, one, timedelta(seconds=quiet)):
            groups += 1
        last = one
    seconds = np.array([one.timestamp() for one in raised])
    assert groups == (len(raised) and 1 + int((np.diff(seconds) >= quiet).sum()))


# being heard -------------------------------------------------------------------------------------
PAUSES = st.sampled_from([0, 5, 30, 31, 60])


@example([(0, 0), (31, 31), (31, 31)], 0, 2, 90)
@example([(0, 0), (31, 31), (31, 31)], 30, 2, 61)  # the first return is just out of the window
@given(
    st.lists(st.tuples(PAUSES, PAUSES | st.just(-40)), max_size=40),
    st.sampled_from([0, 30, 31, 90, 300]), st.integers(1, 4), st.sampled_from([61, 90, 150, 600]),
)  # fmt: skip
def test_online_flapping_offline(
    arrivals: list[tuple[int, int]], later: int, returns: int, window: int
) -> None:
    limits = Limits(timedelta(seconds=30), timedelta(seconds=window), returns)
    received, own, all_of = BEGIN, BEGIN, []
    heard = Heard()
    for pause, own_pause in arrivals:
        received += timedelta(seconds=pause)
        own += timedelta(seconds=own_pause)
        all_of.append((received, own))
        heard = kernel.arrive(heard, received, own, limits)
    now = received + timedelta(seconds=later)
    back = [
        all_of[n][0]
        for n in range(1, len(all_of))
        if all_of[n][0] - all_of[n - 1][0] > limits.offline
        and all_of[n][1] - max(one[1] for one in all_of[:n]) > limits.offline
    ]
    if not all_of or now - all_of[-1][0] > limits.offline:
        wanted = "offline"
    elif sum(0 <= (now - one).total_seconds() < window for one in back) >= returns:
        wanted = "flapping"
    else:
        wanted = "online"
    assert kernel.state_of(heard, now, limits) == wanted


def test_what_was_kept_back_is_no_return() -> None:
    limits = Limits(timedelta(seconds=30), timedelta(hours=1), 1)
    heard = Heard()
    for n in range(10):
        heard = kernel.arrive(heard, BEGIN, BEGIN + timedelta(seconds=n), limits)
    # ten minutes later come, all at once, the readings of these minutes
    for n in range(10, 600):
        heard = kernel.arrive(
            heard, BEGIN + timedelta(minutes=10), BEGIN + timedelta(seconds=n), limits
        )
    assert heard.returns == ()
    assert kernel.state_of(heard, BEGIN + timedelta(minutes=10), limits) == "online"


# neighbours --------------------------------------------------------------------------------------
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 20)), min_size=1, max_size=14),
    st.integers(2, 5), st.integers(100, 1500), st.integers(1, 10),
)  # fmt: skip
def test_neighbours(places: list[tuple[int, int, int]], n: int, metres: int, minutes: int) -> None:
    lons = np.array([118 + 0.003 * one[0] for one in places])
    lats = np.array([28.6 + 0.003 * one[1] for one in places])
    times = [BEGIN + timedelta(minutes=one[2]) for one in places]
    near = Near(n, float(metres), timedelta(minutes=minutes))
    sphere = pyproj.Geod(ellps="WGS84")

    def around(one: int) -> list[int]:
        return [
            other
            for other in range(len(places))
            if sphere.inv(lons[one], lats[one], lons[other], lats[other])[2] <= metres
            and abs(times[one] - times[other]) <= near.within
        ]

    for new in range(len(places)):
        found = kernel.confirmed(new, lons, lats, times, near)
        centres = [one for one in around(new) if len(around(one)) >= n]
        if not centres:
            assert found == []
            continue
        assert found[0] == (new if new in centres else min(centres))
        assert sorted(found) == around(found[0])


@pytest.mark.parametrize(("metres", "wanted"), [(111.0, []), (112.0, [1, 0])])
def test_metres_are_geodesic(metres: float, wanted: list[int]) -> None:
    """A thousandth of a degree of latitude at 28.6 N is 110.8 m; of longitude 97.8 m."""
    lons, lats = np.array([118.0, 118.0]), np.array([28.6, 28.60101])
    near = Near(2, metres, timedelta(minutes=1))
    assert kernel.confirmed(1, lons, lats, [BEGIN, BEGIN], near) == wanted
