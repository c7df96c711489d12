"""Reads YAML the way people mean it, for `pipeline/config/models_file.py`.

`on`, `off`, `yes`, `no` and dates are words, a key given twice is an error, and what is wrong is noted, never
raised, so that one run tells all.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

T = TypeVar("T")

_BOOL, _STR, _MERGE, _TIMESTAMP = (
    f"tag:yaml.org,2002:{name}" for name in ("bool", "str", "merge", "timestamp")
)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 has the key `on:` for true; here only true and false are, as in YAML 1.2."""

    yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in resolvers if tag not in (_BOOL, _TIMESTAMP)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def read(path: Path, problems: list[str]) -> Mapping[str, Any]:
    """Returns the mapping in a YAML file; an empty one, and at least one problem more, where it has none."""
    try:
        with path.open("rb") as file:
            document = _document(_Loader(file), problems)
    except OSError as error:
        problems.append(f"expected a file that can be read, got: {error.strerror}; check the path")
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        problems.append(
            f"{line}expected YAML, got: {error.problem or error.context}; repair the line or the one "
            "before it"
        )
    except yaml.YAMLError as error:
        problems.append(
            f"expected YAML in UTF-8, got: {' '.join(str(error).split())}; save the file as UTF-8 text"
        )
    else:
        if isinstance(document, Mapping) and document:
            return document
        problems.append(
            f"expected a mapping, got {'an empty file' if document is None else shown(document)}; see "
            "pipeline/models.yaml"
        )
    return {}


def _document(loader: _Loader, problems: list[str]) -> Any:
    node = loader.get_single_node()
    if node is None:
        return None
    problems.extend(_key_problems(node, "", ()))
    return loader.construct_document(node)


def _key_problems(node: yaml.Node, path: str, above: tuple[yaml.Node, ...]) -> Iterator[str]:
    """Yields what PyYAML would let pass: keys given twice (it takes the last), keys that are no text. Raises
    MarkedYAMLError for an anchor inside itself."""
    if any(node is other for other in above):
        raise yaml.MarkedYAMLError(problem="an anchor that contains itself", problem_mark=node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _key_problems(item, f"{path}[{index}]", (*above, node))
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = key.value if isinstance(key, yaml.ScalarNode) else "?", key.start_mark.line + 1
            here = joined(path, name)
            if key.tag not in (_STR, _MERGE):
                yield f"{here}: expected text as a key, got {name} on line {line}; write it in quotes"
            elif name in lines:
                yield f"{here}: expected once, got on line {lines[name]} and again on line {line}; remove one"
            lines.setdefault(name, line)
            yield from _key_problems(value, here, (*above, node))


def joined(path: str, key: str) -> str:
    """Returns the path of a key below another path."""
    return f"{path}.{key}" if path else key


def shown(value: Any) -> str:
    """Returns a value of the file as people wrote it, short enough for a message."""
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def nearest(word: str, known: Collection[str]) -> str:
    """Returns the end of a message that helps with a slip of the keyboard."""
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"did you mean {near[0]}?" if near else "remove it or correct it"


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What a value has to be, how to say so, and one that is right."""

    expected: str
    example: str
    accepts: Callable[[Any], bool]


@dataclass(frozen=True)
class Section:
    """A mapping of the file at its path, read key by key. What is wrong is added to `problems`."""

    path: str
    values: Mapping[str, Any]
    problems: list[str]

    def only(self, *known: str) -> None:
        """Notes each key that is not among the known ones."""
        for key in self.values:
            if key not in known:
                self.problems.append(
                    f"{joined(self.path, key)}: expected one of {', '.join(known)}, got {key!r}; "
                    f"{nearest(str(key), known)}"
                )

    def wrong(self, key: str, expected: str, repair: str) -> None:
        """Notes that the value of a key is something else than expected."""
        self.problems.append(
            f"{joined(self.path, key)}: expected {expected}, got {shown(self.values[key])}; {repair}"
        )

    def get(self, key: str, kind: Kind[T], default: T) -> T:
        """Returns the value of a key; the default where there is none, or, with a problem, where it is of
        another kind."""
        value: T = self.values.get(key, default)
        if key not in self.values or kind.accepts(value):
            return value
        self.wrong(key, kind.expected, f"write {key}: {kind.example}")
        return default

    def need(self, key: str, kind: Kind[T], otherwise: T) -> T:
        """Returns the value of a key as `get` does; a missing key is a problem too."""
        if key not in self.values:
            self.problems.append(
                f"{joined(self.path, key)}: expected {kind.expected}, got nothing; add {key}: {kind.example}"
            )
        return self.get(key, kind, otherwise)

    def section(self, key: str, kind: Kind[Mapping[str, Any]]) -> Section | None:
        """Returns the mapping below a key that has to be there; None, and a problem, where it is none."""
        values = self.need(key, kind, {})
        return (
            Section(joined(self.path, key), values, self.problems)
            if key in self.values and kind.accepts(self.values[key])
            else None
        )

    def sections(self, example: str) -> Iterator[tuple[str, Section]]:
        """Yields the mappings below this one by name; what is none is a problem and left out.

        `example`: a mapping that would be right, for the message.
        """
        for key, value in self.values.items():
            if isinstance(value, Mapping):
                yield key, Section(joined(self.path, key), value, self.problems)
            else:
                self.wrong(key, "a mapping", f"write {key}: {example}")
