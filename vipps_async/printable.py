"""Escapes control characters in texts from outside, so that none steers a terminal or forges a line of a log."""

from __future__ import annotations

import unicodedata


def escaped(text: str, *, keep: str = "") -> str:
    r"""Write what does not print as JSON writes it: ESC becomes ``\u001b``. So JSON stays the same JSON.

    Args:
        text: any text.
        keep: characters that stay as they are, such as the line break of our own lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _prints(char) or char in keep else _escape(char) for char in text)


def _prints(char: str) -> bool:
    # Python calls only the ASCII blank printable; a narrow or a fixed one does no harm.
    return char.isprintable() or unicodedata.category(char) == "Zs"


def _escape(char: str) -> str:
    code = ord(char)
    if code > 0xFFFF:
        # A surrogate pair, as JSON has it (RFC 8259 7).
        high, low = divmod(code - 0x10000, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
    return f"\\u{code:04x}"
