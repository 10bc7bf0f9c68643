"""Words of the pages that are made from the code, in both languages.

Headings and the sentences around what the program itself says; that is English in the code and has
its Chinese in `app/docsite/zh/` (`app.docsite.chinese`). Imports nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Lang = Literal["zh", "en"]
LANGS: tuple[Lang, ...] = ("zh", "en")

MADE = {
    "zh": "<!-- 由 `wusetu docs reference` 生成，请勿手改 -->",
    "en": "<!-- made by `wusetu docs reference`; do not edit -->",
}


@dataclass(frozen=True)
class Say:
    """A text in both languages."""

    zh: str
    en: str

    def __call__(self, lang: Lang) -> str:
        """Text in a language."""
        return self.zh if lang == "zh" else self.en


CLI = Say("命令行", "Command line")
CLI_INTRO = Say(
    "命令 `wusetu` 在 `.venv/bin/` 里。每条命令都有英文的 `--help`，内容与下面相同。"
    "\n\n退出码：0 成功；2 拒绝，什么都没有改变；3 已完成，但有的行被拒绝（导入类命令）；130 被中断。",
    "The command `wusetu` is in `.venv/bin/`. Every command has `--help`; what follows is what the "
    "program itself says.\n\nExit codes: 0 done; 2 refused, nothing was changed; 3 done, but rows "
    "were rejected (imports); 130 interrupted.",
)
OPTION = Say("选项", "option")
DEFAULT = Say("默认", "default")
MEANING = Say("含义", "meaning")
REQUIRED = Say("必填", "required")
NONE = Say("无", "none")

SETTINGS = Say("设置", "Settings")
SETTINGS_INTRO = Say(
    "程序只读环境变量，启动时检查；写错的值会指出变量名和原因，服务不会启动。",
    "The program reads environment variables alone and checks them at its start; a wrong value is "
    "named with its variable and the reason, and nothing starts.",
)
VARIABLE = Say("变量", "variable")
TYPE = Say("类型", "type")
GENERAL = Say("总体", "General")
SCRIPTS = Say("脚本和命令另外读的变量", "Read by scripts and commands besides")

ERRORS = Say("接口错误", "Errors of the API")
ERRORS_INTRO = Say(
    "所有错误只有一种 JSON 结构：`code`、`message`、`detail`、`request_id`。`code` 不会变，程序按它判断；"
    "`message` 是给人看的。",
    "Every error has one JSON body: `code`, `message`, `detail`, `request_id`. `code` is stable and "
    "what programs go by; `message` is for people.",
)
CODE = Say("代码", "code")
STATUS = Say("状态", "status")
BY_OPERATION = Say("每个接口会给出的错误", "Errors of each operation")
EVERYWHERE = Say(
    "每个接口都可能答复的不再列出：", "Not listed, for every operation may answer them: "
)
OPERATION = Say("操作", "operation")
ADDRESS = Say("地址", "address")

SCENE = Say("场景文件", "Scene files")
SCENE_INTRO = Say(
    "场景是一个 YAML 文件，怎么写见[场景](../../scenes.md)。下面是每一个键。"
    "同样的内容作为 JSON Schema 在 `data/scenes/schema.json`。",
    "A scene is one YAML file; how to write one is in [scenes](../../scenes.md). Every key follows. "
    "The same as a JSON schema is `data/scenes/schema.json`.",
)

SQL = Say("数据库的表和函数", "Tables and functions of the database")
SQL_INTRO = Say(
    "表、视图、函数和它们的注释，取自迁移（`migrations/sql/`）之后的数据库。网页以角色 `wusetu_web` 登录，"
    "只看得到行级安全允许的行，见[安全](../../security.md)。没有一列存放个人。",
    "Tables, views and functions with their comments, as they are after all migrations "
    "(`migrations/sql/`). The web logs in as role `wusetu_web` and sees the rows that row-level "
    "security allows, see [security](../../security.md). No column holds a person.",
)
TABLES = Say("表", "Tables")
VIEWS = Say("视图", "Views")
FUNCTIONS = Say("函数", "Functions")
COLUMN = Say("列", "column")
ROW_SECURITY = Say("有行级安全。", "Row-level security.")
STOP = Say("。", ". ")

KINDS = Say("颜色、层级、类别、角色", "Colours, levels, kinds, roles")
KINDS_INTRO = Say(
    "颜色、层级、角色取自代码，类别取自随程序提供的场景（`data/scenes/`）。",
    "Colours, levels and roles are those of the code, kinds those of the scenes that ship with it "
    "(`data/scenes/`).",
)
COLOURS = Say("颜色", "Colours")
COLOUR = Say("颜色", "colour")
RULE = Say("条件", "rule")
COLOUR_NOTE = Say(
    "θ 是相对风险，P 是 θ > 1 的概率；从上往下第一个满足的行决定颜色。阈值是场景数据，下面是 `nine-kinds` 的。",
    "θ is the relative risk, P the probability of θ > 1; the first row that holds, from the top, "
    "decides. Thresholds are data of the scene; these are those of `nine-kinds`.",
)
LEVELS = Say("层级", "Levels")
LEVEL = Say("层级", "level")
ZOOMS = Say("显示的缩放级", "shown at zoom")
SCENES = Say("场景和事件类别", "Scenes and kinds of events")
KIND = Say("类别", "kind")
HARM = Say("危害权重", "harm")
WEIGHTS = Say("底数", "exposures")
ROLES = Say("角色", "Roles")
ROLE = Say("角色", "role")
MAY = Say("可以做", "may")

INDEX = Say("参考", "Reference")
INDEX_INTRO = Say(
    "这些页面由程序从代码、设置和迁移生成（`wusetu docs reference`），测试保证它们没有过时、没有遗漏。",
    "These pages are made from code, settings and migrations (`wusetu docs reference`); a test holds "
    "them to be current and complete.",
)
