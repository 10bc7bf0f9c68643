"""What a file must be before GDAL may open it. Imports nothing but the standard library.

GDAL picks a driver by what a file holds, not by its name: a text that names other files, addresses or
databases would be followed (virtual data sources). Promises: what passes here is plain KML, a SQLite
file without views and foreign virtual tables, or a Shapefile; it names nothing outside of itself.
"""

from __future__ import annotations

import io
import re
import sqlite3
import xml.sax
import xml.sax.handler
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

#: elements within elements of a KML
_DEEPEST = 100
#: what SQLite itself goes by; the module of a virtual table may read anything
_PLAIN = re.compile(
    r"\s*create\s+((unique\s+)?index|table|trigger|"
    r'virtual\s+table\s+("[^"]*"|\w+)\s+using\s+rtree)\b',
    re.IGNORECASE,
)
_SHP = b"\x00\x00\x27\x0a"


class NotPlain(ValueError):
    """The file is not what it was taken for; the message says why."""


class _Copy(XMLGenerator):
    """Writes elements and text of a KML anew, and nothing else: no comments, no entities."""

    def __init__(self, out: io.BytesIO) -> None:
        super().__init__(cast("Any", out), encoding="utf-8")
        self.depth = 0

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802 - SAX
        if self.depth == 0 and name.rpartition(":")[2].lower() != "kml":
            raise NotPlain("this XML is no KML: its outermost element is not <kml>")
        self.depth += 1
        if self.depth > _DEEPEST:
            raise NotPlain(f"the KML is nested more than {_DEEPEST} deep")
        super().startElement(name, attrs)

    def endElement(self, name: str) -> None:  # noqa: N802 - SAX
        self.depth -= 1
        super().endElement(name)

    def processingInstruction(self, target: str, data: str) -> None:  # noqa: N802 - SAX
        pass


class _NoDoctype(xml.sax.handler.LexicalHandler):
    """Refuses definitions: entities could name files or blow up."""

    def startDTD(self, *_: str | None) -> None:  # noqa: N802 - SAX
        raise NotPlain("the KML has a DOCTYPE: save it without")


def plain_kml(body: bytes) -> bytes:
    """Write a KML anew, UTF-8, with its elements and texts alone.

    Raises
    ------
    NotPlain
        It is no well-formed KML, or has a DOCTYPE.
    """
    out = io.BytesIO()
    parser = xml.sax.make_parser()  # noqa: S317 - definitions are refused, nothing outside is read
    parser.setFeature(xml.sax.handler.feature_external_ges, False)
    parser.setFeature(xml.sax.handler.feature_external_pes, False)
    parser.setContentHandler(_Copy(out))
    parser.setProperty(xml.sax.handler.property_lexical_handler, _NoDoctype())
    try:
        parser.parse(io.BytesIO(body.lstrip(b" \t\r\n")))
    except xml.sax.SAXParseException as error:
        raise NotPlain(
            f"line {error.getLineNumber()}: {error.getMessage()}: no well-formed KML"
        ) from error
    except (LookupError, UnicodeError) as error:
        raise NotPlain("the KML is in an encoding that cannot be read: save it as UTF-8") from error
    return out.getvalue()


def check_geopackage(path: Path) -> None:
    """Look for what makes a database read something else when its tables are read.

    Raises
    ------
    NotPlain
        It is no SQLite database, or has views or virtual tables other than spatial indexes.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
            database.execute("pragma trusted_schema = off")
            rows = database.execute("select name, sql from sqlite_master").fetchall()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise NotPlain("the GeoPackage is damaged") from error
    for name, sql in rows:
        if sql is not None and not _PLAIN.match(str(sql)):
            raise NotPlain(
                f"the GeoPackage has {str(name)[:40]!r}, which is no table, index or spatial index: "
                "save the areas as a plain table"
            )


def check_shapefile(path: Path) -> None:
    """Look at the first bytes.

    Raises
    ------
    NotPlain
        It is no Shapefile.
    """
    with path.open("rb") as file:
        if file.read(4) != _SHP:
            raise NotPlain("the .shp in the zip is no Shapefile")
