"""Error classes: stable codes, one status each, all documented."""

from __future__ import annotations

import app.errors as module
from app.settings import PROJECT

CLASSES = [
    one
    for one in vars(module).values()
    if isinstance(one, type) and issubclass(one, module.WusetuError)
]


def test_codes_are_unique_and_documented() -> None:
    text = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
    codes = [one.code for one in CLASSES]
    assert len(set(codes)) == len(codes)
    for one in CLASSES:
        assert one.__doc__
        assert 400 <= one.status < 600
        if one is not module.WusetuError:
            assert f"`{one.code}`" in text, f"{one.code} is not in docs/api.md"


def test_an_error_carries_what_it_was_given() -> None:
    error = module.Invalid("no", [1])
    assert (str(error), error.message, error.detail, error.status) == ("no", "no", [1], 422)
