"""What the parts of a scene say of each other: names, weights, circles, classes.

Pure; works on the models of `scene_tree` and `scene_parts`. `misfits` finds everything at once, each
with the place in the file it belongs to, so that `parse_scene` can name the line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.services.scene_parts import STEPS, Persistent, When
from app.services.scene_tree import CALENDAR, TOTAL, Branch, Group, Indicator, Tree
from geo.indicators import Circle, in_order

if TYPE_CHECKING:
    from app.services.scenes import Scene

Place = tuple[int | str, ...]
Misfit = tuple[Place, str]
TOLERANCE = 1e-9


class Misfits(ValueError):
    """Everything in a scene that does not fit together."""

    def __init__(self, found: list[Misfit]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, at))}: {text}" for at, text in found))
        self.found = found


def misfits(scene: Scene) -> list[Misfit]:
    """Everything that does not fit, in the order of the file."""
    found = [*_weights_of_kinds(scene), *_names(scene)]
    if scene.indicators is not None:
        found += _tree(scene, scene.indicators)
    found += _palette(scene)
    found += _actions(scene)
    return found


def _weights_of_kinds(scene: Scene) -> list[Misfit]:
    found: list[Misfit] = []
    for kind, body in scene.kinds.items():
        for measure in body.weights:
            if measure not in scene.measures:
                known = ", ".join(scene.measures) or "none"
                found.append(
                    (
                        ("kinds", kind, "weights", measure),
                        f"kind {kind!r} weighs unknown measure {measure!r}; measures are {known}",
                    )
                )
    return found


def measures_of(scene: Scene) -> dict[str, Place]:
    """Every measure an indicator may be made of, with its place in the file."""
    found: dict[str, Place] = {}
    for name, place in _measures(scene):
        found.setdefault(name, place)
    return found


def _measures(scene: Scene) -> list[tuple[str, Place]]:
    found: list[tuple[str, Place]] = [(one, ("kinds", one)) for one in scene.kinds]
    found += [(one, ("measures", one)) for one in scene.measures]
    found += [(one.id, ("events", i, "id")) for i, one in enumerate(scene.events)]
    for i, feed in enumerate(scene.feeds):
        found += [
            (one.id, ("feeds", i, "measures", j, "id")) for j, one in enumerate(feed.measures)
        ]
    for i, deadline in enumerate(scene.deadlines):
        found += [(name, ("deadlines", i, "id")) for name in deadline.measure_ids()]
    return found


def _twice(named: Sequence[tuple[str, Place]], what: str) -> list[Misfit]:
    seen: set[str] = set()
    found: list[Misfit] = []
    for name, place in named:
        if name in seen:
            found.append((place, f"{what} {name!r} is there already"))
        seen.add(name)
    return found


def _names(scene: Scene) -> list[Misfit]:
    found = _twice(_measures(scene), "measure")
    found += _twice([(one.id, ("feeds", i, "id")) for i, one in enumerate(scene.feeds)], "feed")
    if (scene.feeds or scene.events or scene.deadlines) and scene.indicators is None:
        found.append((("indicators",), "feeds, events and deadlines are there, but no indicators"))
    return found


# the tree -----------------------------------------------------------------------------------------


def _walk(tree: Tree) -> list[tuple[Place, Branch | Group | Indicator]]:
    found: list[tuple[Place, Branch | Group | Indicator]] = []
    for f, field in enumerate(tree.fields):
        at: Place = ("indicators", "fields", f)
        found.append((at, field))
        for g, group in enumerate(field.groups):
            found.append(((*at, "groups", g), group))
            for i, one in enumerate(group.indicators):
                found.append(((*at, "groups", g, "indicators", i), one))
    return found


def _tree(scene: Scene, tree: Tree) -> list[Misfit]:
    nodes = _walk(tree)
    places = {node.id: place for place, node in nodes}
    found = _twice([(TOTAL, ()), *((node.id, (*at, "id")) for at, node in nodes)], "indicator")
    known = measures_of(scene)
    for at, node in nodes:
        if isinstance(node, Indicator):
            found += _indicator(at, node, known, places)
    found += _circles(tree, places)
    if not found:
        found += _weights(tree)
    if scene.ranking.by != TOTAL and scene.ranking.by not in places:
        found.append((("ranking", "by"), f"unknown indicator {scene.ranking.by!r}"))
    finest = min((CALENDAR.index(one.every) for one in scene.feeds), default=0)
    own = scene.events or scene.kinds or scene.deadlines
    for i, period in enumerate(scene.calendar):
        if CALENDAR.index(period) < finest and not own:
            every = CALENDAR[finest]
            found.append(
                (("calendar", i), f"no feed knows a {period}; the finest has one row every {every}")
            )
    return found


def _indicator(
    at: Place, node: Indicator, known: Mapping[str, Place], places: Mapping[str, Place]
) -> list[Misfit]:
    found: list[Misfit] = []
    for i, measure in enumerate(node.of):
        if measure not in known:
            found.append(
                ((*at, "of", i), f"unknown measure {measure!r}; there are {', '.join(known)}")
            )
    if node.per is not None and node.per.measure not in known:
        found.append(
            (
                (*at, "per", "measure"),
                f"unknown denominator {node.per.measure!r}; there are {', '.join(known)}",
            )
        )
    for i, part in enumerate(node.parts):
        if part.id not in places and part.id != TOTAL:
            found.append(((*at, "parts", i, "id"), f"unknown indicator {part.id!r}"))
    return found


def links(tree: Tree) -> dict[str, list[str]]:
    """Say what each node of the tree is made of."""
    found: dict[str, list[str]] = {TOTAL: [one.id for one in tree.fields]}
    for field in tree.fields:
        found[field.id] = [one.id for one in field.groups]
        for group in field.groups:
            found[group.id] = [one.id for one in group.indicators]
            for one in group.indicators:
                found[one.id] = [part.id for part in one.parts]
    return found


def _circles(tree: Tree, places: Mapping[str, Place]) -> list[Misfit]:
    try:
        in_order(links(tree))
    except Circle as circle:
        index = next(
            one for one in circle.path if isinstance(tree.find(one), Indicator)
        )  # only an index can close a circle
        return [((*places[index], "parts"), f"goes in a circle: {' → '.join(circle.path)}")]
    return []


def scored(tree: Tree) -> dict[str, bool]:
    """Which nodes have a score."""
    found: dict[str, bool] = {}
    for name in in_order(links(tree)):
        node = tree.find(name)
        if isinstance(node, Indicator) and node.type != "index":
            found[name] = node.scored
        else:
            found[name] = any(found.get(one, False) for one in links(tree)[name])
    return found


def shares(tree: Tree) -> dict[str, dict[str, float]]:
    """Weights of the parts of every node that is made of others; they add up to 1.

    Where none are given, all parts that have a score count the same.
    """
    has = scored(tree)
    found: dict[str, dict[str, float]] = {}
    for name, given in _given(tree).items():
        if any(weight is not None for weight in given.values()):
            found[name] = {one: weight or 0.0 for one, weight in given.items()}
        else:
            usable = [one for one in given if has[one]]
            found[name] = {one: 1 / len(usable) if one in usable else 0.0 for one in given}
    return found


def _given(tree: Tree) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {TOTAL: {one.id: one.weight for one in tree.fields}}
    for field in tree.fields:
        found[field.id] = {one.id: one.weight for one in field.groups}
        for group in field.groups:
            found[group.id] = {one.id: one.weight for one in group.indicators}
            for one in group.indicators:
                if one.type == "index":
                    found[one.id] = {part.id: part.weight for part in one.parts}
    return found


def _weights(tree: Tree) -> list[Misfit]:
    has = scored(tree)
    places = {node.id: place for place, node in _walk(tree)}
    below = {Branch: "groups", Group: "indicators", Indicator: "parts"}
    found: list[Misfit] = []
    for name, given in _given(tree).items():
        node = tree.find(name)
        at: Place = (
            ("indicators", "fields")
            if node is None or isinstance(node, Tree)
            else (*places[name], below[type(node)])
        )
        what = "the fields" if name == TOTAL else f"the parts of {name!r}"
        some = [weight for weight in given.values() if weight is not None]
        if not some:
            continue
        if len(some) < len(given):
            lacking = next(one for one, weight in given.items() if weight is None)
            found.append((at, f"weights of {what}: {lacking!r} has none; give all of them or none"))
            continue
        total = sum(some)
        if abs(total - 1) > TOLERANCE:
            found.append((at, f"weights of {what} add up to {total:.10g}, not to 1"))
        for i, (one, weight) in enumerate(given.items()):
            if weight and not has[one]:
                found.append(
                    (
                        (*at, i, "weight"),
                        f"nothing makes a score of {one!r} (goalposts, bands, risk): no weight",
                    )
                )
    return found


# classes and actions ------------------------------------------------------------------------------


def _palette(scene: Scene) -> list[Misfit]:
    ids = [one.id for one in scene.palette]
    found = _twice([(one, ("palette", i, "id")) for i, one in enumerate(ids)], "class")
    least = [one.score_min for one in scene.palette]
    if any(one is not None for one in least):
        if None in least:
            lacking = least.index(None)
            reason = f"class {ids[lacking]!r} has no score_min, others have one"
            found.append((("palette", lacking), reason))
        elif sorted({one for one in least if one is not None}, reverse=True) != least:
            found.append((("palette",), "score_min must fall from the best class to the worst"))
        elif least[-1] != 0:
            found.append(
                (("palette",), "no class for scores from 0: the worst one says score_min 0")
            )
    if scene.indicators is None:
        return found

    def wants(name: str, at: Place) -> None:
        if name not in ids:
            found.append((at, f"the palette has no class {name!r}; it has {', '.join(ids)}"))

    risky = False
    for at, node in _walk(scene.indicators):
        if not isinstance(node, Indicator):
            continue
        risky |= node.risk
        for i, band in enumerate(node.bands or ()):
            wants(band.cls, (*at, "bands", i, "class"))
        places = [ids.index(one.cls) for one in node.bands or () if one.cls in ids]
        way = "best to worst" if node.direction == "fall" else "worst to best"
        if places != sorted(places, reverse=node.direction == "rise"):
            found.append(
                (
                    (*at, "bands"),
                    f"direction is {node.direction}: classes go from {way}",
                )
            )
    if risky:
        needed = (*scene.rule.rows(), "blue")
        for name in (one for one in ("blue", *scene.rule.rows()) if one not in ids):
            reason = f"the palette has no class {name!r}; it has {', '.join(ids)}"
            found.append((("palette",), f"{reason}; `risk` needs {', '.join(needed)}"))
    for i, deadline in enumerate(scene.deadlines):
        wants(deadline.warning, ("deadlines", i, "warning"))
        wants(deadline.overdue, ("deadlines", i, "overdue"))
    return found


def _actions(scene: Scene) -> list[Misfit]:
    ids = [one.id for one in scene.palette]
    found: list[Misfit] = []

    def wants(name: str | None, at: Place) -> None:
        if name is not None and name not in ids:
            found.append((at, f"the palette has no class {name!r}; it has {', '.join(ids)}"))

    # said of kinds: a scene of indicators alone may have other classes
    if scene.kinds and scene.alerts is not None and scene.alerts.persistent is not None:
        wants(scene.alerts.persistent.colour, ("alerts", "persistent", "colour"))
    found += _indicator_alerts(scene)
    order = [one.step for one in scene.escalation]
    if order != sorted(set(order), key=STEPS.index):
        found.append((("escalation",), f"steps stand once each and in order: {', '.join(STEPS)}"))
    for i, step in enumerate(scene.escalation):
        found += [
            (("escalation", i, "when", *at), text) for at, text in _conditions(step.when, ids)
        ]
    known: dict[str, Any] = {**scene.kinds}
    if scene.indicators is not None:
        known |= dict.fromkeys(scene.indicators.ids())
    known |= {deadline.id: deadline for deadline in scene.deadlines}
    for name in scene.tasks:
        if name not in known and name != "overall":
            found.append(
                (("tasks", name), f"{name!r} is no kind, indicator or deadline of this scene")
            )
    return found


def _indicator_alerts(scene: Scene) -> list[Misfit]:
    asked = scene.alerts.indicators if scene.alerts is not None else None
    if asked is None:
        return []
    at: Place = ("alerts", "indicators")
    if scene.indicators is None:
        return [(at, "this scene has no indicators")]
    found: list[Misfit] = []
    if not any(one.step in STEPS[STEPS.index(asked.from_step) :] for one in scene.escalation):
        found.append((at, f"opens from {asked.from_step} on: the escalation has no such step"))
    if scene.alerts is not None and scene.alerts.period not in scene.calendar:
        has = ", ".join(scene.calendar)
        found.append((("alerts", "period"), f"indicators are computed by {has} only"))
    known = scene.indicators.ids()
    for i, name in enumerate(asked.named):
        if name not in known:
            found.append(((*at, "named", i), f"no indicator, group or field {name!r}"))
    return found


def _conditions(when: When, ids: Sequence[str]) -> list[Misfit]:
    found: list[Misfit] = []

    def wants(name: str, at: Place) -> None:
        if name not in ids:
            found.append((at, f"the palette has no class {name!r}; it has {', '.join(ids)}"))

    if when.colour is not None:
        wants(when.colour, ("colour",))
    if isinstance(when.persistent, Persistent):
        wants(when.persistent.colour, ("persistent", "colour"))
    for i, one in enumerate(when.any_of):
        found += [(("any_of", i, *at), text) for at, text in _conditions(one, ids)]
    return found
