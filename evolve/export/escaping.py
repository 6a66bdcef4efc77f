"""Text of candidates, models and people as data of each form: no title ends its cell, its label or its element. Pure.

Every function takes any text, lone surrogates and control characters among it, and returns one that can be written as UTF-8.
Forms that only programs read keep what was written as far as they can hold it; those that are drawn take one line of it.
"""

from __future__ import annotations

import re

from evolve.text import one_line

# What XML 1.0 cannot hold at all, not even as a reference (its production Char).
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
    "\t": "&#9;",  # else a parser makes a blank of it inside of an attribute
    "\n": "&#10;",
    "\r": "&#13;",
}
_XML_SPECIAL = re.compile("[&<>\"'\t\n\r]")
_MERMAID = re.compile(r"[^\w .:+/|±·…→−-]", re.ASCII)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]|~$])")
_NEWICK = re.compile(r"[\s\[\]:;=,(){}&'\"%_]")


def xml(text: str) -> str:
    """For an element or an attribute of XML; what XML cannot hold becomes U+FFFD."""
    return _XML_SPECIAL.sub(lambda found: _XML[found[0]], _NOT_XML.sub("\ufffd", text))


def drawn(text: str, width: int) -> str:
    """For an element of a picture: one line, cut to `width` characters, without what turns the direction of text."""
    return xml(one_line(text[: 8 * width], width))


def dot(text: str, width: int = 200) -> str:
    """For a quoted string of DOT, labels included: Graphviz reads escapes and entities in those."""
    line = one_line(text[: 8 * width], width)
    return line.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def mermaid(text: str, width: int = 60) -> str:
    """For a quoted label of Mermaid, whose entities are written `#60;`: all but plain words becomes one."""
    line = one_line(text[: 8 * width], width)
    return _MERMAID.sub(lambda found: f"#{ord(found[0])};", line)


def markdown(text: str, width: int = 200) -> str:
    """For a paragraph or a cell of Markdown: one line, its marks escaped, its HTML and its links dead."""
    line = _MARKDOWN.sub(r"\\\1", one_line(text[: 8 * width], width))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return line.replace("://", ":&#47;&#47;").replace("@", "&#64;")


def newick(text: str, width: int = 120) -> str:
    """For a value in a comment of NHX, which knows no escapes: what it reserves, blanks among them, is percent-encoded."""
    line = one_line(text[: 8 * width], width)
    return _NEWICK.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), line)


def utf8(text: str) -> bytes:
    """As UTF-8; half a surrogate pair, which that cannot hold, becomes a question mark."""
    return text.encode("utf-8", "replace")
