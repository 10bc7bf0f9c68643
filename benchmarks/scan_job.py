"""The space-time scan as a job in the background: seconds to its end, its progress, how soon it is cancelled.

    python -m benchmarks.scan_job [--address http://127.0.0.1:8000/] [--replicates 999] [--kilometres 48.5]

Needs the sample (`wusetu sample load`). Without an address a server is started on the data folder's database.
Asked is a prospective scan of a circle at H3 resolution 8 (10,000 cells), of all kinds, in steps of a week,
windows of 1 to 30 steps. It is run to its end while its progress is read; then it is asked once more with
another seed, and cancelled when it has begun to compute. Ends with 1 when it failed, went backwards, or took
a second or more to stop.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.load import Map, served  # noqa: E402


def send(address: str, path: str, body: Any = None, method: str | None = None) -> Any:
    """Answer of one request."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        address + path, data, {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def question(one: Map, kilometres: float, replicates: int, seed: int) -> dict[str, Any]:
    """Scan of a circle in the middle of the map over all its months."""
    west, south, east, north = one.one["bounds"]
    months = one.one["periods"]["month"]
    return {
        "type": "scan", "pack": one.pack, "seed": seed,
        "area": {"circle": {"lon": (west + east) / 2, "lat": (south + north) / 2,
                            "metres": 1000 * kilometres}},
        "start": months[0]["start"], "end": months[-1]["end"],
        "parameters": {"mode": "prospective", "res": 8, "step_days": 7, "longest_steps": 30,
                       "replicates": replicates},
    }  # fmt: skip


def wait(address: str, job: int, ended: Any) -> tuple[dict[str, Any], list[float]]:
    """State of the job when `ended` says so, and how its progress went."""
    seen = [0.0]
    while True:
        about: dict[str, Any] = send(address, f"api/jobs/{job}")
        if about["progress"] != seen[-1]:
            seen.append(about["progress"])
        if about["state"] not in {"queued", "running"} or ended(about):
            return about, seen
        time.sleep(0.05)


def main() -> int:
    """Print what was measured; 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--address", help="of a running server; default: start one")
    parser.add_argument("--replicates", type=int, default=999)
    parser.add_argument("--kilometres", type=float, default=48.5, help="radius of the circle")
    chosen = parser.parse_args()
    with served(chosen.address) as address:
        one = Map(address)
        asked = question(one, chosen.kilometres, chosen.replicates, 1)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        begin = time.perf_counter()
        job = send(address, "api/jobs", asked)["id"]
        took = time.perf_counter() - begin
        about, seen = wait(address, job, lambda _: False)
        seconds = time.perf_counter() - begin
        if about["state"] != "done":
            print(f"the job is {about['state']}: {about['error']}")
            return 1
        found = send(address, f"api/jobs/{job}/result")
        print(f"{found['places']:,} cells x {found['longest_steps']} windows ({found['circles']:,} circles, "
              f"{found['steps']} steps, {found['total']:,} events), {found['replicates']} replicates: "
              f"asked in {1000 * took:.0f} ms, done after {seconds:.1f} s, "
              f"{len(found['clusters'])} clusters, {len(seen)} different states of progress")  # fmt: skip
        steady = seen == sorted(seen)
        job = send(address, "api/jobs", asked | {"seed": 2})["id"]
        wait(address, job, lambda about: about["progress"] > 0.2)
        begin = time.perf_counter()
        send(address, f"api/jobs/{job}", method="DELETE")
        about, _ = wait(address, job, lambda _: False)
        stopped = time.perf_counter() - begin
        print(f"cancelled while it computed: {about['state']} after {stopped:.3f} s; "
              f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    return 0 if steady and about["state"] == "cancelled" and stopped < 1 else 1


if __name__ == "__main__":
    sys.exit(main())
