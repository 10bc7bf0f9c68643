"""What fuzzing found once, by name: each of these crashed, hung or went unnoticed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from pmtiles.tile import deserialize_header, serialize_header

from app.errors import Invalid
from app.services.event_mapping import load_mapping
from app.services.scenes import load_scene, parse_scene
from app.settings import PROJECT
from geo.cube import Columns, Snapshot, SnapshotError, Spec
from geo.locate import LocateError, LocateIndex
from tiles.archive import Archive, ArchiveError, write

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


def test_an_archive_whose_directory_holds_itself(tmp_path: Path) -> None:
    """It was read for ever."""
    from pmtiles.tile import Entry, serialize_directory

    made = write(tmp_path, [(0, 0, 0, gzip.compress(b"x"))], (119, 29, 121, 31), {})
    good = (tmp_path / f"{made.digest}.pmtiles").read_bytes()
    header = deserialize_header(good[:127])
    leaf = b""
    for length in range(1, 200):  # a directory that says of itself where it lies and how long it is
        leaf = serialize_directory([Entry(0, 0, length, 0)])
        if len(leaf) == length:
            break
    header["root_offset"], header["root_length"] = len(good), len(leaf)
    header["leaf_directory_offset"], header["leaf_directory_length"] = len(good), len(leaf)
    file = tmp_path / "round.pmtiles"
    file.write_bytes(serialize_header(header) + good[127:] + leaf)
    with pytest.raises(ArchiveError, match="goes round"):
        Archive(file)


def test_a_locate_index_with_one_other_digit(tmp_path: Path) -> None:
    """Its grid was moved and every answer with it."""
    folder = tmp_path / "index"
    LocateIndex.build([shapely.box(120, 30, 121, 31)], [1]).save(folder)
    body = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    body["grid"]["west"] += 0.5
    (folder / "meta.json").write_text(json.dumps(body), encoding="utf-8")
    with pytest.raises(LocateError, match="damaged"):
        LocateIndex.load(folder)


def test_a_snapshot_without_its_kinds(tmp_path: Path) -> None:
    none = np.zeros(0)
    rows = Columns(none, none, none.astype(int), none.astype(np.uint8), none.astype(np.int32))
    Snapshot.build(rows, Spec(("theft",), "Asia/Shanghai")).save(tmp_path / "one")
    file = tmp_path / "one" / "manifest.json"
    body = json.loads(file.read_text(encoding="utf-8"))
    del body["kinds"]
    file.write_text(json.dumps(body), encoding="utf-8")
    with pytest.raises(SnapshotError, match="kinds"):
        Snapshot.load(tmp_path / "one")
