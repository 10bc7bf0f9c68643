"""200 browsers' worth of load on a running server: tiles, values, summary, why, area counts.

    python -m benchmarks.load [--address http://127.0.0.1:8000/] [--minutes 10] [--browsers 200]

Without an address a server is started on the data folder's database (`make up` loaded the sample),
without rate limits, for all browsers come from one machine. Each browser has one connection, looks
at the map for about three seconds (exponential, at most 15), then moves it (6 tiles, 40 %),
switches kind or period (values and summary, 37 %), asks why (20 %) or counts a circle (3 %). Which
tiles, kinds and periods: a few are asked most, as people do. The client is one process of its own.

Printed: requests, errors (anything but 200, 204, 304), p50 and p99 per kind, and how the server's
memory grew between the end of the warm-up (a tenth of the time) and the end.
Goals: no error, growth at most 10 %, p99 of values and of tiles asked before at most 50 ms.
Ends with 1 when errors were met; the other goals are printed, for they depend on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import re
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
THINK, LONGEST = 3.0, 15.0
PATIENCE = 60.0
GOOD = frozenset({200, 204, 304})


class Connection:
    """One kept connection, as a browser has it; as cheap as can be, for the client shares the cores."""

    def __init__(self, host: str, port: int) -> None:
        self.place = (host, port)
        self.head = f"Host: {host}:{port}\r\nAccept-Encoding: gzip\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, body: bytes | None = None) -> int:
        """Status of one answer, which is read to its end."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self.place)
        reader, writer = self._streams
        try:
            if body is None:
                writer.write(f"GET {path} HTTP/1.1\r\n{self.head}\r\n".encode())
            else:
                head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(f"POST {path} HTTP/1.1\r\n{self.head}{head}".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            status = int(answer[9:12])
            lower = answer.lower()
            if length := re.search(rb"\r\ncontent-length: *(\d+)", lower):
                await reader.readexactly(int(length[1]))
            elif b"transfer-encoding: chunked" in lower:
                while size := int(await reader.readline(), 16):
                    await reader.readexactly(size + 2)
                await reader.readline()
            return status
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Map:
    """What there is to ask of the largest map of a server."""

    def __init__(self, address: str) -> None:
        self.address = address
        maps = self.read("api/manifest")["maps"]
        if not maps:
            raise SystemExit("nothing was assessed yet: `wusetu sample load`")
        self.one = max(maps, key=lambda one: max(level["count"] for level in one["levels"]))
        self.run, self.pack = self.one["run"], self.one["pack"]
        self.levels = [one for one in self.one["levels"] if one["tiles"]]
        self.kinds = [one["id"] for one in self.one["kinds"]]
        found = [self.read(f"api/packs/{self.pack}/search?q={q}")["hits"] for q in "13579"]
        levels = {one["id"] for one in self.one["levels"]}
        units = [hit["unit"] for hits in found for hit in hits]
        self.codes = sorted({one["code"] for one in units if one["level"] in levels})

    def read(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path, timeout=PATIENCE) as answer:
            return json.load(answer)

    def memory(self) -> float:
        """Resident memory of the server, bytes."""
        with urllib.request.urlopen(self.address + "metrics", timeout=PATIENCE) as answer:
            found = re.search(r"^process_resident_memory_bytes (\S+)", answer.read().decode(), re.M)
        assert found
        return float(found[1])

    def when(self, dice: random.Random) -> tuple[str, int]:
        period = dice.choices(["month", "quarter", "year"], [6, 2, 1])[0]
        there = self.one["periods"].get(period) or self.one["periods"]["month"]
        # the newest are asked most
        back = min(int(dice.expovariate(0.4)), len(there) - 1)
        return period, there[len(there) - 1 - back]["ord"]

    def tiles(self, dice: random.Random) -> list[str]:
        """Six neighbouring tiles."""
        if not self.levels:
            return []
        level = dice.choice(self.levels)
        z = dice.randint(level["min_zoom"], min(level["max_zoom"], level["min_zoom"] + 2))
        west, south, east, north = self.one["bounds"]
        # most look at the middle
        lon, lat = dice.triangular(west, east), dice.triangular(south, north)
        n = 1 << z
        x = int((lon / 360 + 0.5) * n)
        y = int((0.5 - math.asinh(math.tan(math.radians(lat))) / (2 * math.pi)) * n)
        return [
            level["tiles"].format(z=z, x=x + i, y=y + j)
            for i in (0, 1, 2) for j in (0, 1) if x + i < n and y + j < n
        ]  # fmt: skip

    def circle(self, dice: random.Random) -> bytes:
        west, south, east, north = self.one["bounds"]
        area = {
            "lon": dice.triangular(west, east), "lat": dice.triangular(south, north),
            "metres": dice.uniform(300, 3000),
        }  # fmt: skip
        question = {
            "area": {"circle": area}, "start": "2023-01-01", "end": "2025-01-01",
            "breakdowns": ["kind", "month"],
        }  # fmt: skip
        return json.dumps(question).encode()


class Tally:
    """What was measured."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)
        self.errors: dict[str, int] = defaultdict(int)
        self.seen: set[str] = set()

    async def ask(self, line: Connection, kind: str, path: str, body: bytes | None = None) -> None:
        if kind in {"tiles", "values"}:
            kind += ", asked before" if path in self.seen else ", first"
            self.seen.add(path)
        begun = time.perf_counter()
        try:
            status = await asyncio.wait_for(line.ask(path, body), PATIENCE)
            said = str(status) if status not in GOOD else ""
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
            said = type(error).__name__
        self.times[kind].append(time.perf_counter() - begun)
        if said:
            self.errors[f"{kind}: {said}"] += 1


async def browse(one: Map, tally: Tally, seed: int, end: float) -> None:
    """One browser until the end."""
    dice = random.Random(seed)
    place = urlsplit(one.address)
    line = Connection(place.hostname or "127.0.0.1", place.port or 80)
    try:
        await asyncio.sleep(dice.uniform(0, THINK))
        while time.monotonic() < end:
            period, ord_ = one.when(dice)
            kind = one.kinds[min(int(dice.expovariate(0.7)), len(one.kinds) - 1)]
            what = dice.random()
            if what < 0.4:
                for path in one.tiles(dice):
                    await tally.ask(line, "tiles", path)
            elif what < 0.77:
                level = dice.choice(one.one["levels"])["id"]
                where = f"/api/runs/{one.run}"
                await tally.ask(line, "values", f"{where}/values/{level}/{kind}/{period}/{ord_}")
                query = f"level={level}&kind={kind}&period={period}&ord={ord_}"
                await tally.ask(line, "summary", f"{where}/summary?{query}")
            elif what < 0.97:
                code = quote(dice.choice(one.codes))
                query = f"kind={kind}&period={period}&ord={ord_}"
                await tally.ask(line, "why", f"/api/runs/{one.run}/units/{code}/why?{query}")
            else:
                path = f"/api/packs/{one.pack}/areas/count"
                await tally.ask(line, "area", path, one.circle(dice))
            left = end - time.monotonic()
            await asyncio.sleep(max(0.0, min(dice.expovariate(1 / THINK), LONGEST, left)))
    finally:
        line.close()


async def drive(one: Map, browsers: int, seconds: float) -> tuple[Tally, float, float]:
    """Load for some time; what was measured, and memory after the warm-up and at the end."""
    tally = Tally()
    end = time.monotonic() + seconds
    working = asyncio.gather(*(browse(one, tally, seed, end) for seed in range(browsers)))
    await asyncio.sleep(seconds / 10)
    before = await asyncio.to_thread(one.memory)
    await working
    return tally, before, await asyncio.to_thread(one.memory)


def quantile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000


def report(tally: Tally, before: float, after: float, seconds: float) -> int:
    total = sum(map(len, tally.times.values()))
    print(f"{total:,} requests in {seconds:.0f} s ({total / seconds:.0f} per second)")
    print(f"{'':24}{'requests':>10}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}")
    goals = []
    for kind, times in sorted(tally.times.items()):
        p99 = quantile(times, 0.99)
        print(f"{kind:24}{len(times):10,}{quantile(times, 0.5):10.2f}{p99:10.2f}"
              f"{max(times) * 1000:10.2f}")  # fmt: skip
        if kind.endswith("asked before"):
            goals.append((f"p99 of {kind} at most 50 ms", p99 <= 50))
    growth = after / before - 1
    print(f"memory {before / 1e6:.0f} MB after the warm-up, {after / 1e6:.0f} MB at the end "
          f"({growth:+.1%})")  # fmt: skip
    errors = sum(tally.errors.values())
    print(f"errors {errors}" + "".join(f"\n  {n} x {text}" for text, n in tally.errors.items()))
    for text, met in [
        ("no error", not errors),
        ("memory growth at most 10 %", growth <= 0.1),
        *goals,
    ]:
        print(f"{'met ' if met else 'MISSED'}  {text}")
    return 1 if errors else 0


@contextmanager
def served(address: str | None) -> Any:
    """Address of a server; without one, of a server of our own."""
    if address:
        yield address.rstrip("/") + "/"
        return
    program = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--port", "0"]
    limits = {"WUSETU_LIMITS_RATE": "0", "WUSETU_LIMITS_HEAVY_RATE": "0"}
    with subprocess.Popen(
        program, cwd=ROOT, env={**os.environ, **limits, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stdout
            for line in server.stdout:
                if line.startswith("http://"):
                    yield line.strip()
                    break
            else:
                raise SystemExit("the server did not start")
        finally:
            server.terminate()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--address", help="of a running server; default: start one")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--browsers", type=int, default=200)
    chosen = parser.parse_args()
    seconds = chosen.minutes * 60
    with served(chosen.address) as address:
        one = Map(address)
        print(f"{chosen.browsers} browsers on {one.pack}, {len(one.codes)} units asked why")
        return report(*asyncio.run(drive(one, chosen.browsers, seconds)), seconds)


if __name__ == "__main__":
    sys.exit(main())
