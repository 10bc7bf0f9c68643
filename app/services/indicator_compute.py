"""The tree of a scene computed over panels: values, scores, classes, escalation. No database.

Uses `geo.indicators` and, for classes by risk, `geo.risk` (METHODS 3 and 4). A class is the place in
the palette from 1 (best), 0 = no data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from app.services.indicator_calendar import IN_YEAR
from app.services.indicator_panels import Panels
from app.services.scene_checks import links, scored, shares
from app.services.scene_parts import When
from app.services.scene_tree import TOTAL, Calendar, Indicator
from app.services.scenes import Scene
from geo import indicators as kernel
from geo import risk
from geo.score import governance_index

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass
class Node:
    """Results of one node of the tree at one level and period type; arrays (T, n)."""

    value: Floats
    numerator: Floats | None = None
    denominator: Floats | None = None
    score: Floats | None = None
    classes: Ints | None = None
    steps: Ints | None = None
    divided_by_zero: npt.NDArray[np.bool_] | None = None


def factor_of(one: Indicator) -> float:
    """Find what the ratio of an indicator is multiplied by."""
    if one.per is not None and one.per.factor is not None:
        return one.per.factor
    return 100.0 if one.type == "share" else 1.0


def compute(scene: Scene, panels: Panels, level: str, period: Calendar) -> dict[str, Node]:
    """Compute every node of the tree, in an order in which each comes after its parts."""
    tree = scene.indicators
    assert tree is not None
    has, weights = scored(tree), shares(tree)
    found: dict[str, Node] = {}
    for name in kernel.in_order(links(tree)):
        one = tree.find(name)
        if isinstance(one, Indicator) and one.type != "index":
            found[name] = _leaf(scene, panels, one, level, period)
        elif has[name]:
            found[name] = _index(scene, found, weights[name], one, tree.least_weight)
    if period != "day":  # steps are taken by the month or longer
        for node in found.values():
            node.steps = escalate(scene, node, "fall" if node.score is None else "rise")
    return found


def _leaf(scene: Scene, panels: Panels, one: Indicator, level: str, period: Calendar) -> Node:
    how = "mean" if one.aggregation == "mean" else "sum"
    top = panels.total(one.of, level, period, how)
    bottom = None if one.per is None else panels.panel(one.per.measure, level, period)
    if one.aggregation == "mean_3_years":
        step = IN_YEAR.get(period)
        if step is None:  # the mean of three days a year apart says nothing
            top = np.full_like(top, np.nan)
        else:
            top = kernel.mean_of_years(top, step)
            bottom = None if bottom is None else kernel.mean_of_years(bottom, step)
    if bottom is None:
        node = Node(top, top, None)
    else:
        made = kernel.ratio(top, bottom, factor_of(one))
        node = Node(made.value, top, bottom, divided_by_zero=made.divided_by_zero)
    _judge(scene, panels, one, node, level, period)
    return node


def _judge(  # noqa: PLR0917
    scene: Scene, panels: Panels, one: Indicator, node: Node, level: str, period: Calendar
) -> None:
    number = len(scene.palette)
    ids = [cls.id for cls in scene.palette]
    if one.goalposts is not None:
        node.score = kernel.goalpost_score(node.value, one.goalposts.worst, one.goalposts.best)
        node.classes = _class_of(scene, node.score)
    elif one.bands is not None:
        ends = [band.up_to for band in one.bands if band.up_to is not None]
        place = np.array([ids.index(band.cls) for band in one.bands])
        at = kernel.band(node.value, ends)
        node.classes = np.where(at < 0, 0, place[at] + 1)
        node.score = kernel.class_score(node.classes - 1, number)
    elif one.risk and period != "day":
        node.classes, theta = _risk(scene, panels, node, level)
        node.score = 100.0 - governance_index(theta)


def _class_of(scene: Scene, score: Floats) -> Ints | None:
    least = [cls.score_min for cls in scene.palette]
    if any(one is None for one in least):
        return None
    return kernel.score_class(score, cast("list[float]", least)) + 1


def _risk(scene: Scene, panels: Panels, node: Node, level: str) -> tuple[Ints, Floats]:
    """Class and relative risk by the drifting filter, inside each reference area."""
    assert node.numerator is not None
    rule = risk.ColourRule.from_rows(scene.rule.rows(), scene.rule.version)
    parameters = risk.DebParameters(**scene.filter.model_dump())
    observed = np.rint(node.numerator)
    base = np.ones_like(observed) if node.denominator is None else node.denominator
    ids = [cls.id for cls in scene.palette]
    # no data, then the classes of the rule in the palette
    place = np.array([0, *(ids.index(name) + 1 if name in ids else 0 for name in risk.COLOURS[1:])])
    classes = np.zeros(observed.shape, dtype=np.int64)
    theta = np.full(observed.shape, np.nan)
    codes = panels.ground.codes(level)
    reference = np.array(
        [
            panels.ground.above(code, scene.reference_level) or ""
            if scene.reference_level in panels.ground.levels
            else ""
            for code in codes
        ]
    )
    levels = panels.ground.levels
    if scene.reference_level in levels and levels.index(level) <= levels.index(
        scene.reference_level
    ):
        reference[:] = ""
    for area in np.unique(reference):
        here = np.flatnonzero(reference == area)
        rows = np.flatnonzero((~np.isnan(observed[:, here]) & ~np.isnan(base[:, here])).any(axis=1))
        if rows.size == 0:
            continue
        o, b = observed[np.ix_(rows, here)], base[np.ix_(rows, here)]
        known = ~(np.isnan(o) | np.isnan(b)).any(axis=0)
        weight = np.where(known, b.mean(axis=0), np.nan)
        total = np.nansum(weight)
        if not total > 0:
            continue
        share = np.where(weight > 0, weight / total, np.nan)
        result = risk.filter_panel(
            np.ascontiguousarray(np.where(np.isnan(share), 0.0, o)), share, parameters
        )
        alpha = risk.unit_alpha(result.alpha, result.flags, parameters)
        colour, relative = risk.colour_panel(alpha, result.s, result.x, rule)
        classes[np.ix_(rows, here)] = place[colour]
        theta[np.ix_(rows, here)] = relative
    return classes, theta


def _index(
    scene: Scene,
    found: Mapping[str, Node],
    weights: Mapping[str, float],
    one: object,
    least_weight: float,
) -> Node:
    parts = [(name, weight) for name, weight in weights.items() if weight > 0]
    scores = [_score(found[name]) for name, _ in parts]
    score = kernel.combine(scores, [weight for _, weight in parts], least_weight)
    node = Node(score, score=score, classes=_class_of(scene, score))
    if isinstance(one, Indicator) and (one.goalposts or one.bands):
        if one.goalposts is not None:
            node.score = kernel.goalpost_score(score, one.goalposts.worst, one.goalposts.best)
            node.classes = _class_of(scene, node.score)
        elif one.bands is not None:
            ids = [cls.id for cls in scene.palette]
            ends = [band.up_to for band in one.bands if band.up_to is not None]
            at = kernel.band(score, ends)
            place = np.array([ids.index(band.cls) for band in one.bands])
            node.classes = np.where(at < 0, 0, place[at] + 1)
            node.score = kernel.class_score(node.classes - 1, len(ids))
    return node


def _score(node: Node) -> Floats:
    return np.full(node.value.shape, np.nan) if node.score is None else node.score


# escalation ---------------------------------------------------------------------------------------


def escalate(scene: Scene, node: Node, direction: kernel.Direction) -> Ints | None:
    """Find the step of every unit and period; None: the scene has none, or the node no class."""
    if not scene.escalation or node.classes is None:
        return None
    table = node.value if node.score is None else node.score
    reached = np.stack(
        [holds(scene, step.when, node.classes, table, direction) for step in scene.escalation]
    )
    return kernel.escalation(reached)


def holds(
    scene: Scene, when: When, classes: Ints, table: Floats, direction: kernel.Direction
) -> npt.NDArray[np.bool_]:
    """Where a condition holds, (T, n).

    What alerts and tasks know (`open_days`, `overdue_days`) never holds here.
    """
    ids = [cls.id for cls in scene.palette]
    met = np.ones(classes.shape, dtype=bool)
    if when.colour is not None:
        met &= classes >= ids.index(when.colour) + 1
    if when.persistent is not None:
        rule = when.persistent
        met &= kernel.of_last(classes >= ids.index(rule.colour) + 1, rule.of, rule.within)
    if when.last_places is not None:
        last = kernel.last_places(table, direction, when.last_places.places)
        met &= kernel.running(last, when.last_places.running)
    if when.open_days is not None or when.overdue_days is not None:
        met &= False
    if when.any_of:
        met &= np.any([holds(scene, one, classes, table, direction) for one in when.any_of], axis=0)
    return met


def nodes_of(scene: Scene) -> list[str]:
    """Ids of the tree in the order they are shown."""
    assert scene.indicators is not None
    return scene.indicators.ids()


__all__ = ["TOTAL", "Node", "compute", "escalate", "factor_of", "holds", "nodes_of"]
