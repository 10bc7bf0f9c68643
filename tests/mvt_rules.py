"""The rules of the MVT specification 2.1, checked on the bytes of a tile.

Those of the MVT fixtures: version, names, keys and values told once, tags in pairs, ids told once,
commands and their counts, rings that are closed, have an area, and wind the right way round.
"""

from __future__ import annotations

from collections.abc import Iterator

from mapbox_vector_tile.Mapbox import vector_tile_pb2

POINT, POLYGON = 1, 3
MOVE, LINE, CLOSE = 1, 2, 7


def problems(data: bytes) -> list[str]:
    """What is against the specification; an empty list: nothing."""
    tile = vector_tile_pb2.tile()
    used = tile.ParseFromString(data)
    found = [] if used == len(data) else [f"{len(data) - used} bytes that are no tile"]
    names = [layer.name for layer in tile.layers]
    if len(set(names)) != len(names):
        found.append(f"layer names told twice: {names}")
    for layer in tile.layers:
        found += [f"{layer.name}: {text}" for text in _layer(layer)]
    return found


def _layer(layer: vector_tile_pb2.tile.layer) -> Iterator[str]:
    if layer.version != 2:
        yield f"version {layer.version}"
    if not layer.name:
        yield "no name"
    if layer.extent not in (4096, 8192):
        yield f"extent {layer.extent}"
    if not layer.features:
        yield "no feature"
    if len(set(layer.keys)) != len(layer.keys):
        yield "a key told twice"
    values = [one.SerializeToString() for one in layer.values]
    if len(set(values)) != len(values):
        yield "a value told twice"
    for one in layer.values:
        if len(one.ListFields()) != 1:
            yield "a value that is not exactly one thing"
    ids = [one.id for one in layer.features]
    if len(set(ids)) != len(ids) or not all(one.HasField("id") for one in layer.features):
        yield "ids are missing or told twice"
    used = set()
    for feature in layer.features:
        tags = list(feature.tags)
        if len(tags) % 2:
            yield f"feature {feature.id}: tags are no pairs"
        keys = tags[::2]
        if len(set(keys)) != len(keys):
            yield f"feature {feature.id}: a key told twice"
        if any(key >= len(layer.keys) for key in keys):
            yield f"feature {feature.id}: a key that is not there"
        if any(value >= len(layer.values) for value in tags[1::2]):
            yield f"feature {feature.id}: a value that is not there"
        used |= set(tags[1::2])
        yield from (f"feature {feature.id}: {text}" for text in _geometry(feature, layer.extent))
    if used != set(range(len(layer.values))):
        yield "values that no feature has"


def _zigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _geometry(feature: vector_tile_pb2.tile.feature, extent: int) -> Iterator[str]:
    numbers = list(feature.geometry)
    at = x = y = 0
    rings: list[list[tuple[int, int]]] = []
    points = 0
    last = None
    while at < len(numbers):
        command, count = numbers[at] & 7, numbers[at] >> 3
        at += 1
        if command not in (MOVE, LINE, CLOSE):
            yield f"command {command}"
            return
        if command == CLOSE:
            if count != 1 or last != LINE:
                yield "a ring closed wrongly"
            last = CLOSE
            continue
        if not count:
            yield "a command of nothing"
        for _ in range(count):
            if at + 1 >= len(numbers):
                yield "a point cut short"
                return
            dx, dy = _zigzag(numbers[at]), _zigzag(numbers[at + 1])
            at += 2
            if command == LINE and (dx, dy) == (0, 0):
                yield "a line that goes nowhere"
            x, y = x + dx, y + dy
            points += 1
            if command == MOVE:
                rings.append([(x, y)])
            else:
                rings[-1].append((x, y))
        if feature.type == POLYGON and command == MOVE and (count != 1 or last == MOVE):
            yield "a ring that begins twice"
        if feature.type == POLYGON and command == LINE and count < 2:
            yield "a ring of two points"
        last = command
    if not points:
        yield "no geometry"
    if feature.type == POINT:
        if points != 1 or not all(0 <= v < extent for v in (x, y)):
            yield f"a label at {x} {y}"
        return
    if feature.type != POLYGON:
        yield f"type {feature.type}"
        return
    if last != CLOSE:
        yield "a ring that is open"
    for number, ring in enumerate(rings):
        area = sum(
            a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)
        )
        if area == 0:
            yield "a ring without area"
        if ring[0] == ring[-1]:
            yield "the first point of a ring told again"
        if number == 0 and area < 0:
            yield "a hole before its polygon"
