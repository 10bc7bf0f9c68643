"""Mapping of a feed: which of its columns is what, in which time zone, CRS and encoding.

A mapping is one small YAML file, read once and checked completely; what is wrong is named by its
field. It can only name places, times and kinds: a mapping that names a column of a person (name,
identity number, phone, plate …) is refused as a whole. Imports `geo.crs` and `app.services.scenes`.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from app.errors import Invalid, NotFound
from app.services.scenes import load_scene, scene_names
from app.settings import PROJECT
from app.yaml_text import read_yaml
from geo.crs import CrsError, normalise

FOLDER = PROJECT / "data" / "mappings"
ENCODINGS = ("utf-8", "gb18030")

#: words that tell a column about a person, searched inside a name …
_PERSON_PART = re.compile(
    "姓名|名字|身份证|证件号|手机|电话|联系方式|微信|车牌|号牌|车号|当事人|报警人|报案人|嫌疑人|受害人|被害人|信访人"
    "|联系人|驾驶证|驾驶员|驾驶人|司机|护照|户主|身份号|公民身份"
    # in traditional characters, Japanese and Korean
    "|身[份分]證|證件號|手機|電話|聯[絡繫系]|車牌|號牌|車號|當事人|報[警案]人|駕駛|護照|氏名|携帯電話|이름|성명|전화|휴대폰|주민등록"
    "|id_?card|id_?number|identity_?(card|number)|passport|phone|mobile|wechat|national_?id"
    "|licen[cs]e_?plate|number_?plate|plate_?(number|no)|(full|first|last|sur|given|family)_?name"
    "|person|victim|suspect|complainant|caller|shenfenzheng|xingming|shouji|dianhua|chepai|lianxiren"
    "|telefon|telephon|personalausweis|kennzeichen|prenom|apellido|matricula|фамилия|телефон|паспорт"
)
#: … as one word of it …
_PERSON_WORD = {"tel", "cellphone", "idcard", "idno", "ssn", "dni", "imei", "imsi", "driver", "xm", "sfz",
                "sfzh", "sfzhm", "sjh", "sjhm", "cph", "cphm", "hphm", "lxdh", "lxfs", "lxr", "dhhm", "qq"}  # fmt: skip
#: … or as the whole name
_PERSON_WHOLE = {"name", "plate", "names", "nombre", "nom", "vorname", "nachname", "имя"}

Column = Annotated[str, StringConstraints(min_length=1, max_length=200)]
SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
KindId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
#: YAML reads words like 12, yes or 1.5 as other types; a feed's words are text
Word = Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, (int, float)) else v)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimeColumns(_Part):
    """Where the time stands: one column, date and time of day, or parts."""

    column: Column | None = None
    date: Column | None = None
    time: Column | None = None
    year: Column | None = None
    month: Column | None = None
    day: Column | None = None
    hour: Column | None = None
    minute: Column | None = None
    second: Column | None = None
    format: str = Field(
        default="iso",
        description="iso, epoch_s, epoch_ms, or a strptime pattern; of date and time together, "
        "joined by one space, when they stand in two columns",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        parts = [self.year, self.month, self.day, self.hour, self.minute, self.second]
        ways = [self.column is not None, self.date is not None, any(parts)]
        if sum(ways) != 1:
            raise ValueError("give either `column`, or `date` (and `time`), or `year` and parts")
        if self.time is not None and self.date is None:
            raise ValueError("`time` needs `date` beside it")
        if any(parts):
            names = ("year", "month", "day", "hour", "minute", "second")
            given = [part is not None for part in parts]
            if given != sorted(given, reverse=True):
                missing = names[given.index(False)]
                raise ValueError(f"`{missing}` is missing: parts go from year down without a gap")
            if self.format != "iso":
                raise ValueError("`format` has no meaning for time parts")
        elif self.format not in ("iso", "epoch_s", "epoch_ms") and "%" not in self.format:
            raise ValueError(f"format {self.format!r} is neither iso, epoch_s, epoch_ms nor a "
                             "pattern such as %Y-%m-%d %H:%M")  # fmt: skip
        return self

    def names(self) -> list[str]:
        """Columns used, in the order of reading."""
        fields = ("column", "date", "time", "year", "month", "day", "hour", "minute", "second")
        return [name for name in (getattr(self, f) for f in fields) if name is not None]


class Columns(_Part):
    """Names of the feed's columns; there is no field for anything about a person."""

    time: TimeColumns
    reference: Column | None = Field(default=None, description="None: derived from the content")
    kind: Column | None = Field(default=None, description="Not needed with a constant kind")
    lon: Column | None = None
    lat: Column | None = None
    x: Column | None = Field(default=None, description="East, for projected systems")
    y: Column | None = Field(default=None, description="North, for projected systems")
    code: Column | None = None
    address: Column | None = None

    @field_validator("time", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if (self.lon is None) != (self.lat is None):
            raise ValueError("`lon` and `lat` go together")
        if (self.x is None) != (self.y is None):
            raise ValueError("`x` and `y` go together")
        if self.lon is not None and self.x is not None:
            raise ValueError("give `lon`/`lat` or `x`/`y`, not both")
        return self

    @property
    def point(self) -> tuple[str, str] | None:
        """Column of east and column of north, or None."""
        if self.lon is not None and self.lat is not None:
            return self.lon, self.lat
        if self.x is not None and self.y is not None:
            return self.x, self.y
        return None

    def names(self) -> list[str]:
        """Every column used, each once."""
        single = [self.reference, self.kind, self.code, self.address, *(self.point or ())]
        found = [name for name in single if name is not None] + self.time.names()
        return list(dict.fromkeys(found))

    def optional(self) -> list[str]:
        """Columns a row may go without."""
        found = (self.code, self.address, *(self.point or ()))
        return [name for name in found if name is not None]


class Kinds(_Part):
    """How the feed's words become kind ids."""

    constant: KindId | None = Field(default=None, description="Every row is of this kind")
    words: dict[Word, KindId] | None = Field(
        default=None, description="Word of the feed → kind id; none: the words are kind ids"
    )
    default: KindId | None = Field(default=None, description="Kind of every word not listed")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.constant is not None and (self.words is not None or self.default is not None):
            raise ValueError("`constant` stands alone")
        return self

    def ids(self) -> set[str]:
        """Kind ids named here."""
        named = set((self.words or {}).values()) | {self.constant or "", self.default or ""}
        return named - {""}


class EventMapping(_Part):
    """A complete, validated mapping."""

    source: SourceName
    simulated: bool = False
    scene: str = Field(default="nine-kinds", description="Scene whose kinds are allowed")
    encoding: str = "utf-8"
    crs: str = Field(default="wgs84", description="wgs84 cgcs2000 gcj02 bd09 or EPSG:n")
    time_zone: str = Field(default="Asia/Shanghai", description="Of times without an offset")
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    null_values: list[Word] = Field(
        default=["NULL", "null", "\\N", "NA", "N/A", "None"],
        description="Texts that mean: not given; the empty text always does",
    )
    outside: Annotated[str, StringConstraints(pattern="^(reject|keep)$")] = Field(
        default="reject",
        description="A point in no unit, with no code and no address to go by: reject the row, or "
        "keep the event as known nowhere (an area of theirs that the boundaries leave out)",
    )
    columns: Columns
    kinds: Kinds = Kinds()

    @field_validator("delimiter")
    @classmethod
    def _one_byte(cls, value: str) -> str:
        if value != "\t" and (value == '"' or not value.isascii() or not value.isprintable()):
            raise ValueError(f"{value!r} separates no fields: use a comma, semicolon, tab, bar …")
        return value

    @field_validator("crs")
    @classmethod
    def _known_crs(cls, value: str) -> str:
        try:
            return normalise(value)
        except CrsError as error:
            raise ValueError(str(error)) from error

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {value!r}") from error
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name
        except LookupError:
            name = value.lower()
        # GBK and GB2312 are subsets of GB18030; a byte order mark is always understood
        name = {"gbk": "gb18030", "gb2312": "gb18030", "utf-8-sig": "utf-8"}.get(name, name)
        if name not in ENCODINGS:
            raise ValueError(f"encoding {value!r} is not read: use utf-8, gbk or gb18030")
        return name

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kinds.constant is None and self.columns.kind is None:
            raise ValueError("columns.kind is missing (or give kinds.constant)")
        return self

    def allowed_kinds(self) -> list[str]:
        """Kind ids of the scene.

        Raises
        ------
        NotFound, Invalid
            No such scene, or it is broken.
        """
        return list(load_scene(self.scene).kinds)

    def body(self) -> dict[str, Any]:
        """Return the mapping as stored with its source."""
        return self.model_dump(mode="json", exclude_none=True)


def person_column(name: str) -> bool:
    """Tell whether a column's name says that it is about a person.

    >>> person_column("报警人手机"), person_column("NAME"), person_column("street_name")
    (True, True, False)
    >>> person_column("姓 名"), person_column("properties.Name"), person_column("contactTel")
    (True, True, True)
    """
    folded = unicodedata.normalize("NFKD", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))
    shown = "".join(one for one in folded if unicodedata.category(one) not in {"Cf", "Mn"})
    # Hangul is put together again; accents and what nobody sees are gone
    plain = unicodedata.normalize("NFKC", shown).strip().casefold()
    plain = re.sub(r"[\s\W]+", "_", plain).strip("_").removeprefix("properties_")
    return (
        plain in _PERSON_WHOLE
        or not _PERSON_WORD.isdisjoint(plain.split("_"))
        or _PERSON_PART.search(plain) is not None
        or _PERSON_PART.search(plain.replace("_", "")) is not None
    )


def _refuse_persons(body: Mapping[str, Any], where: str) -> None:
    columns = body.get("columns")
    if not isinstance(columns, Mapping):
        return
    allowed = set(Columns.model_fields)
    found: list[str] = []
    for key, value in columns.items():
        if key not in allowed and person_column(str(key)):
            found.append(f"columns.{key}")
        flat = value.items() if isinstance(value, Mapping) else [("", value)]
        for inner, column in flat:
            if isinstance(column, str) and inner != "format" and person_column(column):
                found.append(f"columns.{key}{'.' + inner if inner else ''}: {column}")
    if found:
        raise Invalid(
            f"{where} maps what is about a person ({'; '.join(found)}): Wusetu holds places, times "
            "and kinds of events, never persons. Take it out of the mapping",
            {"fields": found},
        )


def parse_mapping(body: Any, where: str = "mapping") -> EventMapping:
    """Check a mapping that was read already.

    Raises
    ------
    Invalid
        One line per field that is wrong: field, reason.
    """
    if isinstance(body, EventMapping):
        return body
    if not isinstance(body, Mapping):
        raise Invalid(f"{where}: a mapping has source, columns, kinds …")
    _refuse_persons(body, where)
    try:
        mapping = EventMapping.model_validate(dict(body))
    except ValidationError as error:
        detail = []
        for item in error.errors(include_url=False, include_context=False):
            field = ".".join(str(step) for step in item["loc"]) or "mapping"
            detail.append({"field": field, "reason": re.sub("^Value error, ", "", item["msg"])})
        raise Invalid(
            "\n".join(f"{where}, {row['field']}: {row['reason']}" for row in detail), detail
        ) from error
    try:
        allowed = mapping.allowed_kinds()
    except (NotFound, Invalid) as error:
        raise Invalid(f"{where}, scene: {error.message}") from error
    unknown = sorted(mapping.kinds.ids() - set(allowed))
    if unknown:
        raise Invalid(
            f"{where}, kinds: {unknown[0]!r} is no kind of scene {mapping.scene}; "
            f"its kinds are {', '.join(allowed)}"
        )
    return mapping


def load_mapping(given: str | Path | Mapping[str, Any] | EventMapping) -> EventMapping:
    """Read a mapping from a YAML file, from the name of one in `data/mappings/`, or from its content.

    Raises
    ------
    NotFound
        No such file; the message names the mappings that ship with the project.
    Invalid
        Not YAML, or a field is wrong; the message names it.
    """
    if isinstance(given, EventMapping):
        return given
    if isinstance(given, Mapping):
        return parse_mapping(given)
    path = Path(given)
    if not path.exists() and (FOLDER / f"{path.name}.yaml").exists():
        path = FOLDER / f"{path.name}.yaml"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        shipped = ", ".join(sorted(p.stem for p in FOLDER.glob("*.yaml")))
        raise NotFound(f"no mapping file {path}; shipped are: {shipped or 'none'}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: cannot be read as UTF-8 text: {error}") from error
    _, body = read_yaml(text, path.name)
    if isinstance(body, Mapping) and isinstance(body.get("scene"), str):
        scene = body["scene"]
        # a scene file is looked for beside the mapping that names it
        plain = "\0" not in scene  # no path has one: it is refused with the other fields
        if plain and scene.endswith((".yaml", ".yml")) and scene not in scene_names():
            body = {**body, "scene": str((path.parent / scene).resolve())}
    return parse_mapping(body, path.name)
