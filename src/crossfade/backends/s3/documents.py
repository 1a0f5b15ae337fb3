"""XML in answers, from servers that may be broken or hostile.

The parser is expat, which comes with Python. No document of S3 has a DOCTYPE, so one is refused
before an entity can be declared, let alone be expanded; depth is bounded here, and size by who
reads the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH_MAX = 16


class DocumentError(ValueError):
    """What was answered is no document that S3 answers with; its text says why."""


@dataclass(slots=True)
class Element:
    """An element: its name without a namespace, its text, what it holds."""

    name: str
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        """Return the children of that name."""
        return (child for child in self.children if child.name == name)

    def value(self, name: str) -> str:
        """Return the text of the first child of that name; empty when there is none."""
        return next((child.text for child in self.children if child.name == name), "")


def parse(data: bytes) -> Element:
    """Return the document's root.

    Raises:
        DocumentError: it is not well-formed, has a DOCTYPE, or is too deep.
    """
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        # A server that takes long sends spaces first, so that nobody gives up.
        parser.Parse(data.lstrip(), True)  # noqa: FBT003 - expat takes no keyword
    except expat.ExpatError as error:
        message = f"no well-formed XML: {error}"
        raise DocumentError(message) from error
    return builder.root.children[0]


class _Builder:
    def __init__(self) -> None:
        self.root = Element("")
        self._open = [self.root]

    def start(self, name: str, _: object) -> None:
        if len(self._open) > DEPTH_MAX:
            message = f"XML of more than {DEPTH_MAX} levels"
            raise DocumentError(message)
        element = Element(name.rpartition(":")[2])
        self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _: str) -> None:
        self._open.pop()

    def characters(self, text: str) -> None:
        self._open[-1].text += text

    def doctype(self, *_: object) -> None:
        raise DocumentError("XML with a DOCTYPE, which S3 never sends")
