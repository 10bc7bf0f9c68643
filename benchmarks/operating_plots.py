"""Plots of the operating characteristics for the documentation, as SVG in both languages.

    python -m benchmarks.operating_plots [--maps 200] [--seed 20260101] [--out docs/img]

The simulation is that of `benchmarks.operating_characteristics` (208 units, 10 of them hot); the
same maps and seed give the same bytes. The committed files are of the defaults.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from benchmarks import operating_characteristics as oc
from geo import risk

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "img"
MEANS = (0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 60.0)
RED, ORANGE, BLUE, GREY = "#C0262E", "#B85A12", "#2E6CA8", "#646E7B"
WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 176, 44, 52
Say = tuple[str, str]
LANGS = ("zh", "en")


@dataclass(frozen=True)
class Line:
    """One curve: its name, colour, dash, and y over x."""

    name: Say
    colour: str
    dash: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Plot:
    """One picture; `log` makes the x axis logarithmic; y runs from 0 to `top`."""

    file: str
    title: Say
    x_name: Say
    y_name: Say
    lines: tuple[Line, ...]
    ticks: tuple[float, ...]
    log: bool = False
    top: float = 1.0


def power(seed: int, maps: int) -> Plot:
    """How often a unit at 3 or 2 times the risk is red, by the mean count, first and steady."""
    lines = []
    for ratio, colour in ((3.0, RED), (2.0, ORANGE)):
        for length, rows, dash, name in (
            (1, slice(0, 1), "6 4", ("第一期", "first period")),
            (oc.PERIODS, slice(oc.STEADY, None), "", ("第 9–12 期", "periods 9–12")),
        ):
            y = tuple(
                oc.simulate(seed, maps, mean, oc.courses(ratio, ratio, length), rows).power(
                    risk.RED, *(() if ratio == 3.0 else (risk.ORANGE,))
                )
                for mean in MEANS
            )
            seen = ("红", "red") if ratio == 3.0 else ("红或橙", "red or orange")
            label = (f"{ratio:g} 倍，{seen[0]}，{name[0]}", f"RR {ratio:g}, {seen[1]}, {name[1]}")
            lines.append(Line(label, colour, dash, MEANS, y))
    return Plot(
        "oc-power", ("风险真的高时，多大比例被看出来", "How often a raised risk is seen"),
        ("平均每单位每期的预期件数", "expected events of the average unit per period"),
        ("被看出的比例", "share seen"), tuple(lines), (0.2, 1, 5, 20, 60), log=True,
    )  # fmt: skip


def false_alarms(seed: int, maps: int) -> Plot:
    """How often a unit is red or orange when nothing is anywhere, per 1,000."""
    lines = []
    for colour, shade, name in (
        (risk.RED, RED, ("红", "red")),
        (risk.ORANGE, ORANGE, ("橙", "orange")),
    ):
        for length, rows, dash, when in (
            (1, slice(0, 1), "6 4", ("第一期", "first period")),
            (oc.PERIODS, slice(oc.STEADY, None), "", ("第 9–12 期", "periods 9–12")),
        ):
            y = tuple(
                1000
                * oc.simulate(seed, maps, mean, oc.courses(1, 1, length), rows)
                .everyone()
                .rate(colour)
                for mean in MEANS
            )
            lines.append(
                Line((f"{name[0]}，{when[0]}", f"{name[1]}, {when[1]}"), shade, dash, MEANS, y)
            )
    top = float(np.ceil(max(max(line.y) for line in lines) + 0.5))
    return Plot(
        "oc-null", ("处处正常时，多少单位被误判", "False colours when nothing is anywhere"),
        ("平均每单位每期的预期件数", "expected events of the average unit per period"),
        ("每 1,000 个单位", "per 1,000 units"), tuple(lines), (0.2, 1, 5, 20, 60), log=True, top=top,
    )  # fmt: skip


def change(seed: int, maps: int) -> Plot:
    """How fast a new risk turns red, and an ended one ceases to be."""
    ages = tuple(range(1, 7))
    lines = []
    for start, then, shade, name in (
        (1.0, 3.0, RED, ("新出现的 3 倍风险：已变红", "new RR 3: red")),
        (3.0, 1.0, BLUE, ("已消失的 3 倍风险：仍为红", "ended RR 3: still red")),
    ):
        length = oc.STEADY + ages[-1]
        y = []
        for age in ages:
            rows = slice(oc.STEADY + age - 1, oc.STEADY + age)
            found = oc.simulate(
                seed, maps, 12.0, oc.courses(start, then, length), rows, other=oc.courses(then, start, length)
            )  # fmt: skip
            y.append(found.power(risk.RED))
        lines.append(Line(name, shade, "", tuple(map(float, ages)), tuple(y)))
    return Plot(
        "oc-change", ("变化之后几期能看出来", "How soon a change is seen"),
        ("变化后的第几期（平均 12 件）", "periods since the change (mean 12)"),
        ("为红的比例", "share that is red"), tuple(lines), tuple(map(float, ages)),
    )  # fmt: skip


def overall(seed: int, maps: int) -> Plot:
    """Overall colour: one kind at 3 times the risk, or all at twice, period by period."""
    warm = (risk.RED, risk.ORANGE)
    periods = tuple(float(one) for one in range(1, oc.PERIODS + 1))
    cases = (
        (("一类 3 倍", "RR 3 in one kind"), RED, oc.courses(3, 3), (oc.COMMON,), False),
        (("各类 2 倍", "RR 2 in all kinds"), ORANGE, oc.courses(2, 2), tuple(oc.KINDS), False),
        (("处处正常", "nothing anywhere"), GREY, oc.courses(1, 1), (), True),
    )
    lines = []
    for name, shade, course, kinds, null in cases:
        found = oc.simulate_overall(seed, maps, course, kinds)
        y = tuple((one.everyone().rate(*warm) if null else one.power(*warm)) for one in found)
        lines.append(Line(name, shade, "2 3" if null else "", periods, y))
    return Plot(
        "oc-overall", ("综合颜色为红或橙的比例", "Overall colour red or orange"),
        ("第几期", "period"), ("比例", "share"), tuple(lines), (1, 3, 6, 9, 12),
    )  # fmt: skip


PLOTS = (power, false_alarms, change, overall)


def svg(plot: Plot, lang: int) -> str:
    """Picture of a plot; `lang` is 0 for Chinese, 1 for English."""
    xs = [value for line in plot.lines for value in line.x]
    place = np.log if plot.log else np.asarray
    low, high = float(place(min(xs))), float(place(max(xs)))
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x_of(value: float) -> float:
        return LEFT + wide * (float(place(value)) - low) / (high - low)

    def y_of(value: float) -> float:
        return TOP + tall * (1 - value / plot.top)

    title = escape(plot.title[lang])
    font = "Inter, 'Noto Sans SC', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
    out = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'font-family="{font}" font-size="12" fill="#12161C"><title>{title}</title>'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="15" font-weight="700">{title}</text>',
    ]
    for step in range(5):
        value = plot.top * step / 4
        y = y_of(value)
        out.append(f'<path d="M{LEFT} {y:.1f}H{LEFT + wide}" stroke="#D9DDE2"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for tick in plot.ticks:
        x = x_of(tick)
        out.append(f'<path d="M{x:.1f} {TOP + tall}v5" stroke="#646E7B"/>')
        out.append(f'<text x="{x:.1f}" y="{TOP + tall + 20}" text-anchor="middle">{tick:g}</text>')
    out.append(
        f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(plot.x_name[lang])}</text>'
    )
    out.append(
        f'<text transform="translate(16 {TOP + tall / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(plot.y_name[lang])}</text>"
    )
    for line in plot.lines:
        path = "L".join(f"{x_of(x):.1f} {y_of(y):.1f}" for x, y in zip(line.x, line.y, strict=True))
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        out.append(f'<path d="M{path}" fill="none" stroke="{line.colour}" stroke-width="2"{dash}/>')
    for y, line in zip(_apart([y_of(one.y[-1]) for one in plot.lines]), plot.lines, strict=True):
        out.append(
            f'<text x="{LEFT + wide + 8}" y="{y + 4:.1f}" fill="{line.colour}">{escape(line.name[lang])}</text>'
        )
    return "\n".join([*out, "</svg>", ""])


def _apart(wanted: Sequence[float], least: float = 16.0) -> list[float]:
    """Heights as near to those wanted as lines of text may stand."""
    order = sorted(range(len(wanted)), key=lambda at: wanted[at])
    found = list(wanted)
    for before, at in itertools.pairwise(order):
        found[at] = max(found[at], found[before] + least)
    over = max(0.0, found[order[-1]] - (HEIGHT - BOTTOM))
    found[order[-1]] -= over
    for at, after in zip(order[-2::-1], order[:0:-1], strict=True):
        found[at] = min(found[at], found[after] - least)
    return found


def draw(seed: int, maps: int, folder: Path) -> Iterator[Path]:
    """Write every picture in both languages."""
    folder.mkdir(parents=True, exist_ok=True)
    for make in PLOTS:
        plot = make(seed, maps)
        for at, lang in enumerate(LANGS):
            file = folder / f"{plot.file}.{lang}.svg"
            file.write_text(svg(plot, at), encoding="utf-8")
            yield file


def main(arguments: list[str] | None = None) -> int:
    """Draw them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--maps", type=int, default=200, help="simulated maps per point")
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    for file in draw(options.seed, options.maps, options.out):
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
