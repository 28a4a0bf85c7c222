"""Where the rows of a table stand in a SQLite file (its file format, sections 1.3, 1.6 and 2.1), to damage them."""

from __future__ import annotations

from collections.abc import Iterator

_INTERIOR, _LEAF = 0x05, 0x0D


def rows(file: bytes, root: int) -> Iterator[range]:
    """Yield for each row of a table where its record stands, header included; without overflow pages.

    Args:
        file: the whole file, with nothing left in a log.
        root: the table's root page, as `sqlite_master` names it.
    """
    size = int.from_bytes(file[16:18], "big")
    size = 65_536 if size == 1 else size
    start = (root - 1) * size
    head = start + (100 if root == 1 else 0)
    count = int.from_bytes(file[head + 3 : head + 5], "big")
    pointers = head + (12 if file[head] == _INTERIOR else 8)
    cells = [start + int.from_bytes(file[at : at + 2], "big") for at in range(pointers, pointers + 2 * count, 2)]
    if file[head] == _INTERIOR:
        for cell in cells:
            yield from rows(file, int.from_bytes(file[cell : cell + 4], "big"))
        yield from rows(file, int.from_bytes(file[head + 8 : head + 12], "big"))
        return
    assert file[head] == _LEAF
    for cell in cells:
        length, at = _varint(file, cell)
        _, at = _varint(file, at)
        assert length < size - 35, "it has overflow pages"
        yield range(at, at + length)


def _varint(file: bytes, at: int) -> tuple[int, int]:
    value = 0
    for _ in range(8):
        value = value << 7 | file[at] & 0x7F
        at += 1
        if file[at - 1] < 0x80:
            return value, at
    return value << 8 | file[at], at + 1
