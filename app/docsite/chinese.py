"""Chinese of what the program says in English: `app/docsite/zh/*.po`, one entry per English text.

The English is the source and stands in the code, in comments of the database and in models. An
entry carries the kinds of pages it is said on (`cli`, `settings`, …), never a line number; a text
said on several pages stands once, in the file of the first. Imports nothing of the project.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

from babel.messages import pofile
from babel.messages.catalog import Catalog

FOLDER = Path(__file__).parent / "zh"
HEAD = "# Chinese of the reference; `wusetu docs reference` adds and drops entries, people translate.\n\n"

Tell = Callable[[str], str]

#: What must be the same in both languages: inline code, places, options, variables, addresses.
_KEPT = re.compile(
    r"`[^`]*`|\{[^{}]*\}|(?<![\w-])--[a-z][a-z0-9-]*|\bWUSETU_[A-Z_]*[A-Z]\b|https?://[\w./-]+"
)


def one_line(text: str) -> str:
    """Text as its entry has it: spaces and line ends count as one space."""
    return " ".join(text.split())


def plain(text: str) -> str:
    """Leave a text as it is: the English pages."""
    return text


class Chinese:
    """The entries, and which of them were asked for.

    Parameters
    ----------
    folder : Path
        Where the files are; each is named by the kind of page whose texts it holds.

    Attributes
    ----------
    entries : dict of str to str
        Chinese by English; empty: nobody translated it yet.
    used : dict of str to list of str
        Kinds of pages by English text, in the order in which they were asked.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.entries: dict[str, str] = {}
        self.used: dict[str, list[str]] = {}
        self._homes: dict[str, str] = {}
        for file in sorted(folder.glob("*.po")):
            with file.open("rb") as source:
                for message in pofile.read_po(source, locale="zh", abort_invalid=True):
                    if message.id:
                        self.entries[str(message.id)] = str(message.string)
                        self._homes[str(message.id)] = file.stem

    def of(self, kind: str) -> Tell:
        """Translate for one kind of page; English where there is no Chinese."""

        def tell(text: str) -> str:
            english = one_line(text)
            if not english:
                return ""
            kinds = self.used.setdefault(english, [])
            if kind not in kinds:
                kinds.append(kind)
            return self.entries.get(english) or english

        return tell

    def faults(self) -> list[str]:
        """Name what is not translated, asked for no more, or differs in what must be the same."""
        found = []
        for english, kinds in self.used.items():
            said = self.entries.get(english)
            if not said:
                found.append(f"not translated ({', '.join(kinds)}): {english}")
            elif sorted(_KEPT.findall(english)) != sorted(_KEPT.findall(said)):
                found.append(f"code or places differ ({', '.join(kinds)}): {english} / {said}")
        for english in self.entries.keys() - self.used.keys():
            found.append(f"obsolete ({self._homes[english]}): {english}")
        return sorted(found)

    def files(self) -> dict[Path, str]:
        """Text of every file with just the entries that were asked for, new ones empty."""
        catalogs: dict[str, Catalog] = {
            file.stem: Catalog() for file in sorted(self.folder.glob("*.po"))
        }
        for english, kinds in self.used.items():
            catalog = catalogs.setdefault(kinds[0], Catalog())
            catalog.add(
                english, self.entries.get(english, ""), locations=[(kind, 0) for kind in kinds]
            ).flags.clear()
        made = {}
        for name, catalog in catalogs.items():
            text = io.BytesIO()
            pofile.write_po(text, catalog, width=0, omit_header=True, include_lineno=False)
            made[self.folder / f"{name}.po"] = HEAD + text.getvalue().decode().strip() + "\n"
        return made
