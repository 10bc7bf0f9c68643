"""Filters in CQL2, text and JSON (OGC 21-065r2), as conditions of SQLAlchemy.

Imports pygeofilter (syntax tree, reader of JSON, writer of SQLAlchemy), lark and shapely. Promises:
a filter names only the properties it is given; whatever it says is a value of a statement, never a
part of one; types are looked at before the database is, so that a wrong filter is told as wrong.

pygeofilter's own reader of text takes `a OR b AND c` for `(a OR b) AND c` and knows no quote inside
a text, so the text is read by a grammar of our own into the same tree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cache
from typing import Any, cast

import lark
import shapely
import shapely.geometry
import sqlalchemy as sa
from pygeofilter import ast, values  # type: ignore[import-untyped]
from pygeofilter.backends.evaluator import handle  # type: ignore[import-untyped]
from pygeofilter.backends.sqlalchemy.evaluate import SQLAlchemyFilterEvaluator  # type: ignore[import-untyped]
from pygeofilter.cql2 import COMPARISON_MAP, SPATIAL_PREDICATES_MAP  # type: ignore[import-untyped]
from pygeofilter.parsers.cql2_json import parse as parse_json  # type: ignore[import-untyped]

from app.ogc.cql_grammar import GRAMMAR
from app.ogc.crs import Crs, ground
from app.ogc.errors import BadRequest, bad
from app.ogc.fields import Field

GEOMETRY = "geometry"
LANGUAGES = ("cql2-text", "cql2-json")
#: Corners of all shapes of one filter.
MOST_CORNERS = 20_000
#: Conditions inside conditions; whoever writes the statement goes several calls deeper for each.
MOST_DEEP = 40
_KIND = {
    "string": "text", "integer": "number", "number": "number", "boolean": "boolean",
    "date": "date", "date-time": "moment",
}  # fmt: skip
_WORDS = {
    "text": "a text", "number": "a number", "boolean": "true or false", "date": "a DATE",
    "moment": "a TIMESTAMP", "shape": "a geometry",
}  # fmt: skip
_ORDERED = (ast.LessThan, ast.LessEqual, ast.GreaterThan, ast.GreaterEqual)


def read(text: str, language: str) -> Any:
    """Read a filter into a syntax tree of pygeofilter; names are not looked at yet.

    Raises
    ------
    BadRequest
        It is not CQL2; the message names the place.
    """
    try:
        return _json(text) if language == "cql2-json" else _reader().parse(text)
    except lark.exceptions.VisitError as error:
        if isinstance(error.orig_exc, BadRequest):
            raise error.orig_exc from error
        raise bad("filter", f"it is not {language}: {error.orig_exc}") from error
    except lark.exceptions.UnexpectedInput as error:
        at = getattr(error, "column", 0)
        raise bad("filter", f"it is not {language} at character {at}") from error
    except RecursionError as error:
        raise bad("filter", "it is nested too deep") from error


# text --------------------------------------------------------------------------------------------
def _flat_tree(make: Any) -> Callable[..., Any]:
    return lambda _self, *parts: make.from_items(*parts)


@lark.v_args(inline=True)
class _Tree(lark.Transformer[Any, Any]):
    """From what the grammar found to pygeofilter's tree."""

    disjunction = _flat_tree(ast.Or)
    conjunction = _flat_tree(ast.And)

    def negation(self, one: Any) -> Any:
        return ast.Not(one)

    def comparison(self, left: Any, sign: Any, right: Any) -> Any:
        return COMPARISON_MAP[str(sign)](left, right)

    def between(self, one: Any, low: Any, high: Any) -> Any:
        return ast.Between(one, low, high, False)

    def not_between(self, one: Any, low: Any, high: Any) -> Any:
        return ast.Between(one, low, high, True)

    def like(self, one: Any, pattern: Any) -> Any:
        return ast.Like(one, pattern, False, "%", "_", "\\", False)

    def not_like(self, one: Any, pattern: Any) -> Any:
        return ast.Like(one, pattern, False, "%", "_", "\\", True)

    def one_of(self, one: Any, *others: Any) -> Any:
        return ast.In(one, list(others), False)

    def none_of(self, one: Any, *others: Any) -> Any:
        return ast.In(one, list(others), True)

    def missing(self, one: Any) -> Any:
        return ast.IsNull(one, False)

    def given(self, one: Any) -> Any:
        return ast.IsNull(one, True)

    def spatial(self, name: Any, left: Any, right: Any) -> Any:
        return SPATIAL_PREDICATES_MAP[str(name).lower()](left, right)

    def folded(self, one: Any) -> Any:
        return ast.Function("lower", [one])

    def property(self, name: Any) -> Any:
        return ast.Attribute(str(name).strip('"'))

    def text(self, token: Any) -> str:
        return str(token)[1:-1].replace("''", "'").replace("\\'", "'")

    def number(self, token: Any) -> int | float:
        return _number(str(token))

    def BOOLEAN(self, token: Any) -> bool:  # noqa: N802 - named by the grammar
        return str(token).lower() == "true"

    def day(self, token: Any) -> date:
        return _day(self.text(token))

    def moment(self, token: Any) -> datetime:
        return _moment(self.text(token))

    def position(self, *numbers: Any) -> str:
        return " ".join(map(str, numbers))

    def nested(self, *parts: str) -> str:
        return f"({','.join(parts)})"

    def wkt(self, name: Any, nested: str) -> str:
        return f"{name} {nested}"

    def geometry(self, text: str) -> Any:
        try:
            return values.Geometry(shapely.geometry.mapping(shapely.from_wkt(text)))
        except (shapely.errors.GEOSException, ValueError, TypeError) as error:
            raise bad("filter", f"{text[:40]!r} is no geometry") from error

    def bbox(self, *numbers: Any) -> Any:
        return _box([float(one) for one in numbers])


@cache
def _reader() -> lark.Lark:
    """Make the tables of the grammar: half a second, for the first filter in text."""
    return lark.Lark(GRAMMAR, parser="lalr", transformer=_Tree(), maybe_placeholders=False)


def _number(text: str) -> int | float:
    if text.lstrip("+-").isdigit():
        return int(text) if len(text) <= 18 else float(text)
    return float(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise bad("filter", f"{text!r} is no date") from None


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise bad("filter", f"{text!r} is no moment") from None
    if found.tzinfo is None:
        raise bad("filter", f"{text!r} does not say its offset, such as Z")
    return found


def _box(numbers: list[float]) -> Any:
    if len(numbers) == 6:
        numbers = [*numbers[:2], *numbers[3:5]]
    if len(numbers) != 4:
        raise bad("filter", "a bbox has four numbers, or six with heights")
    return values.Geometry(shapely.geometry.mapping(shapely.box(*numbers)))


# JSON --------------------------------------------------------------------------------------------
def _json(text: str) -> Any:
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise bad("filter", f"it is not JSON: {error}") from error
    try:
        return parse_json(_plain(tree))
    except BadRequest:
        raise
    except RecursionError:
        raise
    except Exception as error:  # its reader says no in many ways
        raise bad("filter", f"it is not cql2-json: {error}") from error


def _plain(node: Any) -> Any:  # noqa: PLR0911 - one per form of a node
    """Bring JSON of the final standard into the form pygeofilter reads."""
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, dict):
        if node is None:
            raise bad("filter", "null is no value; use isNull")
        return node
    if "bbox" in node and "type" not in node:
        return _box([float(one) for one in node["bbox"]])
    if "date" in node:
        return _day(node["date"])
    if "timestamp" in node:
        return _moment(node["timestamp"])
    if "type" in node and ("coordinates" in node or "geometries" in node):
        try:
            return values.Geometry(shapely.geometry.mapping(shapely.geometry.shape(node)))
        except Exception as error:
            raise bad("filter", "there is a geometry that is none") from error
    if "op" in node:
        args = [_plain(one) for one in node["args"]]
        if node["op"] == "between":
            low, high = args[1:] if len(args) == 3 else args[1]
            args = [args[0], [low, high]]
        return {"op": node["op"], "args": args}
    if set(node) != {"property"} or not isinstance(node["property"], str):
        raise bad("filter", f"{json.dumps(node)[:60]} is nothing of CQL2 that is known here")
    return node


# types, names, coordinates -----------------------------------------------------------------------
class _Checker:
    """Looks at a tree before it becomes a statement."""

    def __init__(self, fields: Mapping[str, Field], crs: Crs) -> None:
        self.fields = fields
        self.crs = crs
        self.corners = 0

    def condition(self, node: Any, deep: int = 0) -> None:  # noqa: PLR0912 - one per form of a node
        """Check what is true or false, `deep` conditions inside others."""
        if deep > MOST_DEEP:
            raise bad("filter", "it is nested too deep")
        if isinstance(node, bool):
            return
        if isinstance(node, ast.And | ast.Or):
            one, joined = node, type(node)
            while isinstance(one, joined):  # a row of them is a tree that leans to the left
                self.condition(one.rhs, deep + 1)
                one = one.lhs
            self.condition(one, deep + 1)
        elif isinstance(node, ast.Not):
            self.condition(node.sub_node, deep + 1)
        elif isinstance(node, ast.SpatialComparisonPredicate):
            self.shape(node.lhs)
            self.shape(node.rhs)
        elif isinstance(node, ast.Comparison):
            kind = self.same(node.lhs, node.rhs)
            if kind == "boolean" and isinstance(node, _ORDERED):
                raise bad("filter", "true and false have no order")
        elif isinstance(node, ast.Between):
            if self.same(node.lhs, node.low, node.high) == "boolean":
                raise bad("filter", "true and false have no order")
        elif isinstance(node, ast.In):
            if not isinstance(node.sub_nodes, list) or not node.sub_nodes:
                raise bad("filter", "IN takes a list with something in it")
            self.same(node.lhs, *node.sub_nodes)
        elif isinstance(node, ast.Like):
            self.same(node.lhs, node.pattern, wanted="text")
            pattern = node.pattern
            while isinstance(pattern, ast.Function):
                pattern = pattern.arguments[0]
            if not isinstance(pattern, str):
                raise bad("filter", "LIKE takes a text in quotes")
            if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
                raise bad("filter", "a pattern of LIKE ends with a \\ that stands for nothing")
        elif isinstance(node, ast.IsNull):
            self.scalar(node.lhs)
        else:
            raise bad("filter", f"{_named(node)} is no condition, or none that is known here")

    def same(self, *nodes: Any, wanted: str | None = None) -> str:
        """Check that all are of one type."""
        for node in nodes:
            kind = self.scalar(node)
            if wanted is not None and kind != wanted:
                raise bad("filter", f"{_named(node)} is {_WORDS[kind]}, not {_WORDS[wanted]}")
            wanted = kind
        assert wanted is not None
        return wanted

    def scalar(self, node: Any) -> str:  # noqa: PLR0911, PLR0912 - one per form of a node
        """Type of a value."""
        if isinstance(node, ast.Attribute):
            field = self.fields.get(node.name)
            if field is None:
                raise unknown(node.name, self.fields)
            return _KIND[field.type]
        if isinstance(node, ast.Function):
            inner, deep = node, 0
            while isinstance(inner, ast.Function):
                if inner.name != "lower" or len(inner.arguments) != 1:
                    raise bad("filter", f"there is no function {inner.name!r} here")
                inner, deep = inner.arguments[0], deep + 1
            if deep > MOST_DEEP:
                raise bad("filter", "it is nested too deep")
            return self.same(inner, wanted="text")
        if isinstance(node, bool):
            return "boolean"
        if isinstance(node, int | float):
            # a whole number is one of 64 bits to the database
            if not abs(node) <= (1e300 if isinstance(node, float) else 2**63 - 1):
                raise bad("filter", "a number is too large")
            return "number"
        if isinstance(node, str):
            # escapes of JSON can be no text: a NUL, half of a pair
            if "\0" in node or any("\ud800" <= one <= "\udfff" for one in node):
                raise bad("filter", "a text holds what is no character")
            return "text"
        if isinstance(node, datetime):
            return "moment"
        if isinstance(node, date):
            return "date"
        raise bad("filter", f"{_named(node)} is no value that can be compared")

    def shape(self, node: Any) -> None:
        """Check a place, and carry it to longitude latitude."""
        if isinstance(node, ast.Attribute):
            if node.name not in {GEOMETRY, "geom"}:
                raise bad("filter", f"{node.name!r} is no geometry; the name is {GEOMETRY}")
            return
        if not isinstance(node, values.Geometry):
            raise bad("filter", f"{_named(node)} is no geometry")
        found = shapely.geometry.shape(node.geometry)
        self.corners += shapely.get_num_coordinates(found)
        if found.is_empty or self.corners > MOST_CORNERS:
            raise bad("filter", f"shapes have 1 to {MOST_CORNERS:,} corners")
        if not found.is_valid:
            raise bad("filter", f"a shape is not valid: {shapely.is_valid_reason(found)}")
        node.geometry = shapely.geometry.mapping(
            ground(shapely.force_2d(found), self.crs, "filter")
        )


def unknown(name: str, fields: Mapping[str, Field]) -> BadRequest:
    """Make the error of a property that is not there."""
    return bad("filter", f"there is no property {name!r}; there are {', '.join(fields)}")


def _named(node: Any) -> str:
    return node.name if isinstance(node, ast.Attribute) else type(node).__name__


# SQL ---------------------------------------------------------------------------------------------
class _Writer(SQLAlchemyFilterEvaluator):  # type: ignore[misc]
    """pygeofilter's writer; shapes go as WKB, for columns here have no type of their own."""

    @handle(ast.SpatialComparisonPredicate, subclasses=True)  # type: ignore[untyped-decorator]
    def spatial_operation(self, node: Any, lhs: Any, rhs: Any) -> Any:
        """Write a spatial condition as the function of PostGIS of that name."""
        return getattr(sa.func, f"ST_{node.op.name.capitalize()}")(lhs, rhs)

    @handle(values.Geometry)  # type: ignore[untyped-decorator]
    def geometry(self, node: Any) -> Any:
        """Write a shape."""
        body = shapely.to_wkb(shapely.geometry.shape(node.geometry))
        return sa.func.ST_GeomFromWKB(sa.literal(body, sa.LargeBinary), 4326)

    @handle(bool, str, int, float, date, datetime)  # type: ignore[untyped-decorator]
    def value(self, node: Any) -> Any:
        """Write a value as a parameter."""
        return sa.literal(node)

    @handle(ast.Like)  # type: ignore[untyped-decorator]
    def like(self, node: Any, lhs: Any) -> Any:
        """Write a pattern; `%` and `_` mean the same in both languages."""
        pattern = node.pattern
        folds = 0
        while isinstance(pattern, ast.Function):
            pattern, folds = pattern.arguments[0], folds + 1
        given: Any = sa.literal(pattern)
        found = lhs.like(sa.func.lower(given) if folds else given)
        return sa.not_(found) if node.not_ else found


def condition(
    text: str,
    language: str,
    crs: Crs,
    fields: Mapping[str, Field],
    columns: Mapping[str, Any],
) -> sa.ColumnElement[bool]:
    """Write a filter as a condition.

    Parameters
    ----------
    language : one of `LANGUAGES`
    crs : system of the coordinates in the filter
    fields : the properties there are, by name
    columns : their columns, and that of `geometry`

    Raises
    ------
    BadRequest
        It is not CQL2, names something unknown, or compares what cannot be compared.
    """
    tree = read(text, language)
    checker = _Checker(fields, crs)
    try:
        checker.condition(tree)
        written = _Writer({**columns, "geom": columns[GEOMETRY]}, False).evaluate(tree)
    except RecursionError as error:
        raise bad("filter", "it is nested too deep") from error
    return cast("sa.ColumnElement[bool]", written)
