"""The JSON schema of scenes, made from the models, for editors and other programs."""

from __future__ import annotations

import json
from typing import Any

from app.services.scenes import FOLDER, Scene

FILE = FOLDER / "schema.json"


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
