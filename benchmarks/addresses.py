"""How often noisy addresses are resolved rightly, and how fast: `python -m benchmarks.addresses`.

The base has about 520,000 made-up addresses over the real units of Hangzhou; the noise is that of
`geo.addresses.sample.Writer`. Prints shares and addresses per second of one core; compared with nothing.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pyarrow.parquet as pq

from app.settings import PROJECT
from geo.addresses.base import Base
from geo.addresses.names import Unit, UnitMeaning
from geo.addresses.resolve import Resolver
from geo.addresses.sample import Writer, make_base

LENGTHS = (4, 6, 9, 12, 15, 19)
#: districts of before 2021, and what they may mean
OLD = {
    "下城区": ("330105",),
    "江干区": ("330102", "330114"),
    "临安市": ("330112",),
    "富阳市": ("330111",),
}


def main() -> None:
    """Make, resolve, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--addresses", type=int, default=520_000)
    parser.add_argument("--tests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=77)
    asked = parser.parse_args()
    path = PROJECT / "data" / "boundaries" / "hangzhou" / "units.parquet"
    rows = pq.read_table(path, columns=["code", "level", "name"]).to_pylist()
    units = [Unit(one["code"], one["level"], one["name"]) for one in rows]
    table = make_base(units, np.random.default_rng(20240101), asked.addresses)
    begin = time.perf_counter()
    base = Base.build(table, LENGTHS, 6)
    other = {name: UnitMeaning(codes, "county", 0.9) for name, codes in OLD.items()}
    resolver = Resolver(units, base, other)
    print(f"{table.num_rows:,} addresses, {len(base.name):,} places, made ready in {time.perf_counter() - begin:.1f} s")  # fmt: skip
    old: dict[str, list[str]] = {}
    for name, codes in OLD.items():
        for code in codes:
            old.setdefault(code, []).append(name)
    rng = np.random.default_rng(asked.seed)
    writer = Writer(units, old)
    picked = table.take(rng.choice(table.num_rows, asked.tests, replace=False)).to_pylist()
    tests = [writer.written(one, rng) for one in picked]
    begin = time.process_time()
    answers = [resolver.resolve(one.text) for one in tests]
    spent = time.process_time() - begin
    pairs = list(zip(answers, tests, strict=True))
    for level, length in (("village", 12), ("grid", 15), ("building", 19)):
        share = np.mean([a.code[:length] == t.code[:length] for a, t in pairs])
        print(f"right {level:9} {share:.4f}")
    sure = [(a, t) for a, t in pairs if a.certain]
    wrong = [1 for a, t in sure if not (t.code.startswith(a.code) or a.code.startswith(t.code))]
    print(f"certain         {len(sure) / len(pairs):.4f}")
    print(f"wrong of these  {len(wrong) / max(1, len(sure)):.5f}")
    print(f"per second      {len(tests) / spent:,.0f} (processor time of one core)")


if __name__ == "__main__":
    main()
