"""The plots of the methods page: the command draws them, and those committed are its."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks import operating_plots as plots

FILES = [f"{name}.{lang}.svg" for name in ("oc-power", "oc-null", "oc-change", "oc-overall") for lang in ("zh", "en")]  # fmt: skip


def test_the_command_draws_every_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plots.main(["--maps", "2", "--out", str(tmp_path)]) == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(FILES)
    assert len(capsys.readouterr().out.splitlines()) == len(FILES)
    for name in FILES:
        root = ET.fromstring((tmp_path / name).read_text(encoding="utf-8"))
        assert root.findtext("{http://www.w3.org/2000/svg}title")
        heights = [
            float(y)
            for path in root.iter("{http://www.w3.org/2000/svg}path")
            if path.get("fill") == "none"
            for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path.get("d", ""))
        ]
        assert heights
        assert all(plots.TOP - 0.1 <= one <= plots.HEIGHT - plots.BOTTOM + 0.1 for one in heights)
    # the same seed, the same bytes
    again = tmp_path / "again"
    plots.main(["--maps", "2", "--out", str(again)])
    for name in FILES:
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_the_committed_pictures_are_there(name: str) -> None:
    text = (plots.FOLDER / name).read_text(encoding="utf-8")
    ET.fromstring(text)
    assert text.count('fill="none"') >= 2
