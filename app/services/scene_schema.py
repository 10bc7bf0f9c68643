"""The JSON schema and the reference of scene files, made from the models.

`wusetu scene schema` writes both: `data/scenes/schema.json` for editors and other programs, and the
tables of `docs/scenes.md` between its two marks. A test holds them to the models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from app.services import scene_parts as parts
from app.services import scene_tree as tree
from app.services.scenes import FOLDER, Above, Below, Filter, Kind, Measure, Ranks, Rule, Scene
from app.settings import PROJECT

FILE = FOLDER / "schema.json"
PAGE = PROJECT / "docs" / "scenes.md"
BEGIN, END = "<!-- reference: begin -->\n", "<!-- reference: end -->\n"

#: The one place that is no key.
WHOLE = "The file"

#: Where a model stands in a file, in the order of the reference.
PLACES: dict[str, type[BaseModel]] = {
    WHOLE: Scene,
    "measures.NAME": Measure,
    "kinds.NAME": Kind,
    "filter": Filter,
    "colour_rule": Rule,
    "colour_rule.red, orange, yellow": Above,
    "colour_rule.green": Below,
    "ranks": Ranks,
    "palette[]": parts.PaletteClass,
    "feeds[]": tree.Feed,
    "feeds[].measures[]": tree.FeedMeasure,
    "events[]": tree.EventMeasure,
    "deadlines[]": tree.Deadline,
    "deadlines[].kinds[]": tree.DeadlineKind,
    "indicators": tree.Tree,
    "indicators.fields[]": tree.Branch,
    "indicators.fields[].groups[]": tree.Group,
    "…groups[].indicators[]": tree.Indicator,
    "…per": tree.Per,
    "…parts[]": tree.IndexPart,
    "…goalposts": tree.Goalposts,
    "…bands[]": tree.Band,
    "ranking": tree.Ranking,
    "alerts": parts.AlertRules,
    "…persistent": parts.Persistent,
    "alerts.budget": parts.Budget,
    "alerts.indicators": parts.IndicatorAlerts,
    "escalation[]": parts.EscalationStep,
    "escalation[].when": parts.When,
    "…last_places": parts.LastPlaces,
    "tasks.NAME": parts.TaskTemplate,
    "brief": parts.Brief,
    "brief.sentences[]": parts.Sentence,
}


def schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a scene file."""
    made = Scene.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "Wusetu scene",
    }


def schema_text() -> str:
    """Text of the committed file."""
    return json.dumps(schema(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def reference_text(tell: Callable[[str], str] = str) -> str:
    """Tables of every key a scene file may have; `tell` gives each text in another language."""
    lines = []
    head = "| " + " | ".join(tell(one) for one in ("key", "value", "usual", "what")) + " |"
    for place, model in PLACES.items():
        about = re.sub(r"\s+", " ", (model.__doc__ or "").strip().split("\n\n")[0])
        shown = tell(place) if place == WHOLE else f"`{place}`"
        lines += [f"### {shown}", tell(about), "", head, "|---|---|---|---|"]
        made = model.model_json_schema(by_alias=True)
        # a model that holds itself stands among its own definitions
        shapes = made.get("$defs", {}).get(model.__name__, made).get("properties", {})
        for name, field in model.model_fields.items():
            key = field.alias or name
            usual = _usual(field.get_default(call_default_factory=False), field.is_required())
            if field.default_factory is not None:
                usual = "see text"
            if not usual.startswith("`"):
                usual = tell(usual)
            what = tell(field.description or "").replace("|", "/")
            lines.append(f"| `{key}` | {_shape(shapes.get(key, {}), tell)} | {usual} | {what} |")
        lines.append("")
    lines += [tell("Places of a sentence: {list}.").format(list=tell("; ").join(
        f"`{{{name}}}` {tell(what)}" for name, what in parts.PLACES.items()
    ))]  # fmt: skip
    return "\n".join(lines) + "\n"


def _usual(value: Any, required: bool) -> str:
    if required or value is PydanticUndefined:
        return "needed"
    if value is None or value in ([], {}, ""):
        return "none"
    if isinstance(value, BaseModel):
        return "see there"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true`, `false`",
    "object": "names with keys",
}


def _shape(shape: dict[str, Any], tell: Callable[[str], str]) -> str:
    """Say in a few words what a value looks like."""
    if "anyOf" in shape:
        found = [_shape(one, tell) for one in shape["anyOf"] if one.get("type") != "null"]
        said = found[0] if found else ""
        for other in dict.fromkeys(found[1:]):
            said = tell("{one} or {other}").format(one=said, other=other)
    elif "$ref" in shape or "allOf" in shape:
        said = tell("keys, see there")
    elif "enum" in shape:
        said = ", ".join(f"`{one}`" for one in shape["enum"])
    elif "const" in shape:
        said = f"`{shape['const']}`"
    elif shape.get("type") == "array":
        said = tell("list of {what}").format(what=_shape(shape.get("items", {}), tell))
    else:
        said = _TYPES.get(str(shape.get("type", "")), "")
        said = said if said.startswith("`") else tell(said)
    return said


def page_text(page: str, tell: Callable[[str], str] = str) -> str:
    """Text of the page with its reference made new; `tell` as for `reference_text`."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has lost its marks {BEGIN.strip()} and {END.strip()}")
    return f"{head}{begin}{reference_text(tell)}{end}{tail}"
