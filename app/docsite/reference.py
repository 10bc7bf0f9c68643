"""Pages of the reference, made from what runs: commands, settings, errors, scenes, tables, colours.

Each maker gives the text of one page in one language and notes what nobody described; `pages` has
them all. What the program says in English goes through `tell` (`app.docsite.chinese`). The tables of the database are read from a migrated one, by `app.docsite.catalogue`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from app.docsite import words as w
from app.docsite.catalogue import Catalogue
from app.docsite.chinese import Chinese, Tell, plain
from app.docsite.words import Lang
from app.services.scene_schema import page_text, reference_text
from app.settings import PROJECT, Settings

FOLDER = PROJECT / "docs"

#: Read by scripts and by commands directly; everything else is a field of `Settings`.
OTHER_VARIABLES = {
    "WUSETU_FONTS": w.Say("更多的字体文件夹（报告用），用冒号分开", "Further folders with fonts for reports, separated by colons"),
    "WUSETU_PG_BIN": w.Say("`initdb` 和 `postgres` 所在的文件夹", "Folder with `initdb` and `postgres` to use instead of those found"),
    "WUSETU_PYTHON": w.Say("安装时用的 Python", "Python to set up with, instead of the one found"),
    "WUSETU_VENV": w.Say("虚拟环境的文件夹（`.venv`）", "Folder of the virtual environment (`.venv`)"),
    "WUSETU_UNPACK": w.Say("`1`：root 也不安装系统包，只解包到数据文件夹", "`1`: unpack packages into the data folder even as root"),
    "WUSETU_CHROMIUM": w.Say("测试用的浏览器", "Browser of the tests"),
    "WUSETU_TEST_WORKERS": w.Say("`make test` 的进程数（2）", "Processes of `make test` (2)"),
    "WUSETU_TREATY_TOKEN": w.Say("`wusetu treaty pull` 的令牌", "Token of `wusetu treaty pull`"),
    "WUSETU_SAMPLE": w.Say("容器启动时是否装入示例（`1`；`0`：不装）", "Whether a container loads the sample at its start (`1`; `0`: no)"),
    "WUSETU_DEV_SERVER": w.Say("前端开发时的服务器地址", "Server the front end is developed against"),
    "WUSETU_MQTT_PORT": w.Say("容器部署时消息代理的端口（1883）", "Port of the broker in `docker-compose.yml` (1883)"),
    "WUSETU_COMPOSE": w.Say("`scripts/deployed.sh` 自己编译的 Docker Compose 版本", "Version of Docker Compose `scripts/deployed.sh` builds where there is none"),
    "WUSETU_QGIS": w.Say("`make test-qgis` 用的、带 `qgis` 的 Python", "A Python that has `qgis`, for `make test-qgis`"),
    "WUSETU_PYSPARK": w.Say("`make test-spark` 用的 PySpark 版本", "Version of PySpark `make test-spark` uses"),
}  # fmt: skip
#: Set by our own scripts for our own scripts.
INNER_VARIABLES = {"WUSETU_SETUP_LOCKED"}


class Missing(list[str]):
    """What nobody described, by its place."""


def cell(text: object) -> str:
    """Text for one cell of a table: one line, no bars, no tags."""
    plain = " ".join(str(text).split())
    return plain.replace("|", "\\|").replace("<", "&lt;")


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a table, with an empty one behind."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def page(title: w.Say, intro: w.Say, lang: Lang, lines: list[str]) -> str:
    """Text of a page."""
    text = "\n".join([f"# {title(lang)}", "", w.MADE[lang], "", intro(lang), "", *lines])
    return text.rstrip() + "\n"


# --- commands ---------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its words, in order."""
    from app.cli import cli

    def walk(words: str, one: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield words, one
        if isinstance(one, click.Group):
            for name in one.list_commands(click.Context(one)):
                below = one.get_command(click.Context(one), name)
                assert below is not None
                yield from walk(f"{words} {name}", below)

    yield from walk("wusetu", cli)


def cli_page(lang: Lang, missing: Missing, tell: Tell = plain) -> str:
    """Every command with its options."""
    lines = []
    for name, one in commands():
        if name == "wusetu":
            continue
        if not one.help:
            missing.append(f"not described: command {name}")
        depth = "##" if name.count(" ") == 1 else "###"
        context = click.Context(one, info_name=name)
        lines += [f"{depth} {name}", "", "```text", _usage(one, context), "```", ""]
        lines += [_paragraphs(one.help or "", tell), ""]
        rows = []
        for option in one.params:
            if not isinstance(option, click.Option) or option.hidden:
                continue
            if not option.help:
                missing.append(f"not described: option {option.opts[0]} of {name}")
            rows.append(
                [
                    "`" + "`, `".join([*option.opts, *option.secondary_opts]) + "`",
                    _option_default(option, context, lang),
                    cell(tell(option.help or "")),
                ]
            )
        if rows:
            lines += table([w.OPTION(lang), w.DEFAULT(lang), w.MEANING(lang)], rows)
    return page(w.CLI, w.CLI_INTRO, lang, lines)


def _usage(one: click.Command, context: click.Context) -> str:
    pieces = " ".join(one.collect_usage_pieces(context))
    return f"{context.info_name} {pieces}".strip()


def _paragraphs(text: str, tell: Tell) -> str:
    """Paragraphs of a help text; what it marks as literal becomes code."""
    made = []
    for part in inspect.cleandoc(text).split("\n\n"):
        if part.startswith("\b"):
            made.append("```text\n" + textwrap.dedent(part.removeprefix("\b\n")) + "\n```")
        else:
            made.append(" ".join(tell(part).split()).replace("<", "&lt;"))
    return "\n\n".join(made)


def _option_default(option: click.Option, context: click.Context, lang: Lang) -> str:
    if option.required:
        return w.REQUIRED(lang)
    given = option.get_default(context, call=False)
    if given in (None, (), "") or callable(given) or "UNSET" in repr(given):
        return ""
    if isinstance(given, bool):
        if option.secondary_opts:
            return f"`{option.opts[0] if given else option.secondary_opts[0]}`"
        return ""
    shown = given.relative_to(PROJECT) if _inside(given) else given
    return f"`{shown}`"


def _inside(value: object) -> bool:
    return isinstance(value, Path) and value.is_relative_to(PROJECT)


# --- settings ---------------------------------------------------------------------------------


def settings_page(lang: Lang, missing: Missing, tell: Tell = plain) -> str:
    """Every setting, by its class."""
    lines: list[str] = []
    groups: list[tuple[str, type[BaseSettings]]] = [(w.GENERAL(lang), Settings)]
    for field in Settings.model_fields.values():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseSettings):
            groups.append((cell(tell((kind.__doc__ or "").strip())), kind))
    for title, kind in groups:
        lines += [f"## {title}", ""]
        rows = []
        shapes = kind.model_json_schema(mode="validation")["properties"]
        for name, field in kind.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and issubclass(inner, BaseSettings):
                continue
            variable = f"{kind.model_config['env_prefix']}{name}".upper()
            if not field.description:
                missing.append(f"not described: setting {variable}")
            rows.append(
                [
                    f"`{variable}`",
                    _bounds(shapes[name], lang),
                    _setting_default(field.default, lang),
                    cell(tell(field.description or "")),
                ]
            )
        lines += table([w.VARIABLE(lang), w.TYPE(lang), w.DEFAULT(lang), w.MEANING(lang)], rows)
    lines += [f"## {w.SCRIPTS(lang)}", ""]
    lines += table(
        [w.VARIABLE(lang), w.MEANING(lang)],
        [[f"`{name}`", said(lang)] for name, said in sorted(OTHER_VARIABLES.items())],
    )
    return page(w.SETTINGS, w.SETTINGS_INTRO, lang, lines)


_TYPE_WORDS = {
    "integer": w.Say("整数", "whole number"),
    "number": w.Say("数", "number"),
    "string": w.Say("文本", "text"),
    "boolean": w.Say("`true`、`false`", "`true`, `false`"),
    "array": w.Say("逗号分开的文本", "texts, comma between"),
}


def _bounds(shape: dict[str, Any], lang: Lang) -> str:
    """Type of a setting with its limits."""
    if "anyOf" in shape:
        shape = {**next(one for one in shape["anyOf"] if one.get("type") != "null")}
    if "enum" in shape:
        return ", ".join(f"`{one}`" for one in shape["enum"])
    said = _TYPE_WORDS.get(str(shape.get("type")), w.Say("文本", "text"))(lang)
    low, high = shape.get("minimum"), shape.get("maximum")
    if "exclusiveMinimum" in shape:
        said += f" > {shape['exclusiveMinimum']:g}"
    if low is not None:
        said += f" ≥ {low:g}" if high is None else f" {low:,g}–{high:,g}"
    elif high is not None:
        said += f" ≤ {high:,g}"
    return said


def _setting_default(value: object, lang: Lang) -> str:
    if value is None or value is PydanticUndefined or value == ():
        return w.NONE(lang)
    if isinstance(value, Path):
        value = value.relative_to(PROJECT) if _inside(value) else value
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{value}`"


# --- errors -----------------------------------------------------------------------------------


def error_classes() -> list[type[Any]]:
    """Every error class of the program, by code and name."""
    import app
    from app.errors import WusetuError

    for found in pkgutil.walk_packages(app.__path__, "app."):
        if not found.name.startswith("app.docsite.hooks"):
            importlib.import_module(found.name)

    def below(one: type[Any]) -> Iterator[type[Any]]:
        yield one
        for other in one.__subclasses__():
            yield from below(other)

    ours = {one for one in below(WusetuError) if one.__module__.startswith("app.")}
    return sorted(ours - {WusetuError}, key=lambda one: (one.code, one.__name__))


#: Codes no class stands for: what the door and the routing say (`security/doorkeeper`, `handlers`).
DOOR_CODES = {
    "csrf": (403, w.Say("不安全的请求缺少本会话的 `X-CSRF-Token`，或来自别的网站", "An unsafe request lacks this session's `X-CSRF-Token`, or comes from a page of another site")),
    "wrong_host": (421, w.Say("请求用了不属于本服务的主机名", "The request names a host that is not ours")),
    "single_machine": (403, w.Say("没有账户时只服务本机", "Without accounts only this machine is served")),
    "method_not_allowed": (405, w.Say("这个地址不接受这种方法", "The address does not know this method")),
    "internal": (500, w.Say("程序内部出错；把 `request_id` 告诉管理员", "Something went wrong inside; quote the `request_id`")),
}  # fmt: skip


#: Statuses of the door, of limits and of a database that is away: every operation may answer them.
EVERYWHERE = frozenset({"401", "403", "408", "413", "414", "421", "429", "431", "503"})


def errors_page(lang: Lang, missing: Missing, tell: Tell = plain) -> str:
    """Codes, then what each operation may answer."""
    from app.main import create_app

    rows: dict[str, list[str]] = {}
    for one in error_classes():
        said = (one.__doc__ or "").strip().split("\n\n")[0]
        if not said:
            missing.append(f"not described: error {one.__module__}.{one.__name__}")
        if one.code in rows:  # several classes, one code
            continue
        rows[one.code] = [f"`{one.code}`", str(one.status), cell(tell(said))]
    for code, (status, text) in DOOR_CODES.items():
        rows[code] = [f"`{code}`", str(status), text(lang)]
    lines = table(
        [w.CODE(lang), w.STATUS(lang), w.MEANING(lang)], [rows[code] for code in sorted(rows)]
    )
    lines += [
        f"## {w.BY_OPERATION(lang)}",
        "",
        f"{w.EVERYWHERE(lang)}{', '.join(sorted(EVERYWHERE))}",
        "",
    ]
    described = create_app(Settings.model_construct(**_plain_settings())).openapi()
    found = []
    for address, methods in sorted(described["paths"].items()):
        for method, one in sorted(methods.items()):
            codes = sorted(
                code for code in one["responses"] if code >= "4" and code not in EVERYWHERE
            )
            found.append(
                [f"`{one['operationId']}`", f"`{method.upper()} {address}`", ", ".join(codes)]
            )
    lines += table([w.OPERATION(lang), w.ADDRESS(lang), w.STATUS(lang)], found)
    return page(w.ERRORS, w.ERRORS_INTRO, lang, lines)


def _plain_settings() -> dict[str, Any]:
    """Defaults of the settings, whatever the environment says."""
    return {
        name: field.annotation.model_construct()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        else field.default
        for name, field in Settings.model_fields.items()
    }


# --- scenes, tables, colours -------------------------------------------------------------------


def scene_page(lang: Lang, missing: Missing, tell: Tell = plain) -> str:  # noqa: ARG001
    """Every key of a scene file: the reference of `docs/scenes.md`, one heading higher."""
    return page(w.SCENE, w.SCENE_INTRO, lang, [reference_text(tell).replace("### ", "## ")])


def sql_page(lang: Lang, missing: Missing, catalogue: Catalogue, tell: Tell = plain) -> str:
    """Tables, views and functions with their comments."""
    lines = []
    for heading, kinds in ((w.TABLES, "rp"), (w.VIEWS, "vm")):
        lines += [f"## {heading(lang)}", ""]
        for one in catalogue.relations:
            if one.kind not in kinds:
                continue
            if not one.comment:
                missing.append(f"not described: table {one.name}")
            missing += [
                f"not described: column {one.name}.{name}"
                for name, _, text in one.columns
                if not text
            ]
            said = cell(tell(one.comment or "")) + w.STOP(lang)
            lines += [f"### {one.name}", ""]
            lines += [said + w.ROW_SECURITY(lang) if one.secured else said.strip(), ""]
            rows = [
                [f"`{name}`", f"`{kind}`", cell(tell(text or ""))]
                for name, kind, text in one.columns
            ]
            lines += table([w.COLUMN(lang), w.TYPE(lang), w.MEANING(lang)], rows)
    lines += [f"## {w.FUNCTIONS(lang)}", ""]
    for name, arguments, gives, text in catalogue.functions:
        if not text:
            missing.append(f"not described: function {name}")
        lines += [f"### {name}", "", f"`{name}({arguments}) → {gives}`", ""]
        lines += [cell(tell(text or "")), ""]
    return page(w.SQL, w.SQL_INTRO, lang, lines)


def kinds_page(lang: Lang, missing: Missing, tell: Tell = plain) -> str:  # noqa: ARG001
    """Colours with their rule, levels, kinds of every scene, roles."""
    from app.security.identity import MAY, Role
    from tiles.levels import KNOWN
    from tiles.palette import CLASSES

    folder = PROJECT / "data" / "scenes"
    scenes = [
        yaml.safe_load(one.read_text(encoding="utf-8")) for one in sorted(folder.glob("*.yaml"))
    ]
    rule = next(one for one in scenes if one["name"] == "nine-kinds")["colour_rule"]
    lines = [f"## {w.COLOURS(lang)}", "", w.COLOUR_NOTE(lang), ""]
    rows = []
    for one in sorted(CLASSES, key=lambda each: -each.value):
        said = one.zh if lang == "zh" else one.en
        meaning = one.meaning_zh if lang == "zh" else one.meaning_en
        rows.append([f"`{one.id}` {said}", f"`{one.light.fill}`", _rule(rule.get(one.id)), meaning])
    rows = sorted(rows, key=lambda row: _ORDER.index(row[0].split("`")[1]))
    lines += table([w.COLOUR(lang), "sRGB", w.RULE(lang), w.MEANING(lang)], rows)
    lines += [f"## {w.LEVELS(lang)}", ""]
    lines += table(
        [w.LEVEL(lang), w.ZOOMS(lang)],
        [[f"`{name}`", f"{zooms.low}–{zooms.high}"] for name, zooms in KNOWN.items()],
    )
    lines += [f"## {w.SCENES(lang)}", ""]
    for scene in scenes:
        title = scene.get("title", {}).get(lang)
        if not title:
            missing.append(f"not described: scene {scene['name']}")
        lines += [f"### {scene['name']}", "", f"{title}", ""]
        kinds = [
            [f"`{name}`", cell(kind.get(lang, "")), str(kind.get("harm", "")), _weights(kind)]
            for name, kind in (scene.get("kinds") or {}).items()
        ]
        if kinds:
            head = [w.CODE(lang), w.KIND(lang), w.HARM(lang), w.WEIGHTS(lang)]
            lines += table(head, kinds)
    lines += [f"## {w.ROLES(lang)}", ""]
    lines += table(
        [w.ROLE(lang), w.MAY(lang)],
        [[f"`{role}`", ", ".join(f"`{one}`" for one in sorted(MAY[role]))] for role in Role],
    )
    return page(w.KINDS, w.KINDS_INTRO, lang, lines)


_ORDER = ["red", "orange", "yellow", "blue", "green", "none"]


def _rule(given: dict[str, float] | None) -> str:
    if not given:
        return ""
    signs = {"p_min": "P ≥", "theta_min": "θ ≥", "p_max": "P ≤", "theta_max": "θ ≤"}
    return ", ".join(f"{signs[name]} {value:g}" for name, value in given.items())


def _weights(kind: dict[str, Any]) -> str:
    return ", ".join(f"`{name}` {value}" for name, value in (kind.get("weights") or {}).items())


def index_page(lang: Lang, missing: Missing, tell: Tell = plain) -> str:  # noqa: ARG001
    """List the pages."""
    names = {"cli": w.CLI, "settings": w.SETTINGS, "errors": w.ERRORS, "scene": w.SCENE, "sql": w.SQL, "kinds": w.KINDS}  # fmt: skip
    lines = [f"- [{said(lang)}]({name}.md)" for name, said in names.items()]
    lines += ["- [API](../../api.md): `GET /api/openapi.json`"]
    return page(w.INDEX, w.INDEX_INTRO, lang, lines)


def pages(catalogue: Catalogue) -> tuple[dict[Path, str], list[str]]:
    """Text of every page and of the Chinese entries by file; what nobody described or translated."""
    missing = Missing()
    chinese = Chinese()
    makers = {
        "index": index_page,
        "cli": cli_page,
        "settings": settings_page,
        "errors": errors_page,
        "scene": scene_page,
        "kinds": kinds_page,
    }
    made = {}
    for lang in w.LANGS:
        folder = FOLDER / lang / "reference"
        for name, maker in makers.items():
            tell = chinese.of(name) if lang == "zh" else plain
            made[folder / f"{name}.md"] = maker(lang, missing, tell)
        tell = chinese.of("sql") if lang == "zh" else plain
        made[folder / "sql.md"] = sql_page(lang, missing, catalogue, tell)
    handbook = FOLDER / "zh" / "scenes.md"
    if handbook.is_file():
        made[handbook] = page_text(handbook.read_text(encoding="utf-8"), chinese.of("scene"))
    return made | chinese.files(), sorted(set(missing)) + chinese.faults()


def stale(made: dict[Path, str]) -> list[Path]:
    """Pages whose file says something else."""
    return [
        file
        for file, text in made.items()
        if not file.is_file() or file.read_text(encoding="utf-8") != text
    ]
