"""YAML that people write, read without surprises. Imports `app.errors` alone.

Promises: what cannot be read is `Invalid` with file and line, whatever the text holds; reading
takes time in proportion to the text. Therefore aliases are not followed (a few lines of them can
mean billions of values), and depth and whole numbers are bounded.
"""

from __future__ import annotations

from typing import Any

import yaml

from app.errors import Invalid

#: Mappings and lists inside one another, at most.
DEEPEST = 40
#: What the constructors of YAML's own types raise on words such as 2024-13-45 or `!!bool maybe`.
_UNREADABLE = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError)


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _error("aliases (*name) are not read: write it out", event.start_mark)
        if self.depth >= DEEPEST:
            raise _error(f"nested more than {DEEPEST} deep", event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except _UNREADABLE as error:
            kind = str(node.tag).rpartition(":")[2]
            raise _error(f"this is no {kind}: put text in quotes", node.start_mark) from error
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise _error("this number is too long: put text in quotes", node.start_mark)
        return value


def _error(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, problem, mark)


def read_yaml(text: str, where: str) -> tuple[yaml.Node | None, Any]:
    """Read the one document of a text.

    Parameters
    ----------
    text : the document
    where : name of the document in messages

    Returns
    -------
    node : its nodes, which know their lines; None for an empty text
    body : its content: mappings, lists, texts, numbers, dates

    Raises
    ------
    Invalid
        It is no YAML, or none that is read here; names the line.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            body = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise Invalid(f"{where}, line {line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise Invalid(f"{where}: not YAML: {error}") from error
    return node, body
