"""What fuzzing found once, by name: each of these crashed, hung or went unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import Invalid
from app.services.event_mapping import load_mapping
from app.services.scenes import load_scene, parse_scene
from app.settings import PROJECT

MAPPING = (PROJECT / "data/mappings/vancouver-thefts.yaml").read_text(encoding="utf-8")

#: Thirty lines that stand for 2^30 values.
DOUBLING = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))
MERGING = "a0: &a0 {k: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: 2024-13-45", r"line 1: not YAML: this is no timestamp"),
        ("name: 0b_", "this is no int"),
        ("name: !!bool maybe", "this is no bool"),
        ("name: !!timestamp x", "this is no timestamp"),
        ("\nname: " + "9" * 5000, "line 2: not YAML: this is no int"),
        ("name: 0x" + "f" * 5000, "number is too long"),
        ("name: " + "[" * 3000, "nested more than 40 deep"),
        ("- " * 3000, "nested more than 40 deep"),
        ("name: &a [*a]", r"aliases \(\*name\) are not read"),
        (DOUBLING, "line 2: not YAML: aliases"),
        (MERGING, "line 2: not YAML: aliases"),
        ("? [a]\n: 1", "unhashable key"),
        ("? {a: 1}\n: 1", "unhashable key"),
    ],
)
def test_yaml_that_means_trouble(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        parse_scene(text)
    file = tmp_path / "mapping.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Invalid, match=said):
        load_mapping(file)


def test_a_scene_with_a_nul_in_its_name(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        load_scene("a\0.yaml")
    file = tmp_path / "mapping.yaml"
    file.write_text(MAPPING + '\nscene: "a\\0.yaml"\n', encoding="utf-8")
    with pytest.raises(Invalid, match="scene"):
        load_mapping(file)


@pytest.mark.parametrize("delimiter", ["，", '"', "\\n", "\\r", "\\0", ""])
def test_a_delimiter_no_reader_can_use(tmp_path: Path, delimiter: str) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(MAPPING + f"\ndelimiter: '{delimiter}'\n".replace("'", "'" if delimiter == '"' else '"'),
                    encoding="utf-8")  # fmt: skip
    with pytest.raises(Invalid, match="delimiter"):
        load_mapping(file)


@pytest.mark.parametrize("zone", ["..", "/", "a" * 300, "Asia", "中"])
def test_a_time_zone_that_is_a_folder_or_no_file_name(zone: str) -> None:
    good = (PROJECT / "data/scenes/nine-kinds.yaml").read_text(encoding="utf-8")
    with pytest.raises(Invalid, match="time_zone"):
        parse_scene(f"time_zone: {zone!r}\n{good}")
