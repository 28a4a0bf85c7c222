"""A stand-in for the image of a QR code: it holds the target URL as text. No camera reads it."""

from __future__ import annotations

import struct
import zlib

from aiohttp import web
from markupsafe import Markup

#: Width and height of the SVG's view box.
_SIZE = 1024
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: One bit of grey for each pixel, nothing else.
_DEPTH = (1, 0, 0, 0, 0)
_SVG = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {0}"><title>QR code of the sandbox</title>'
    '<rect width="100%" height="100%" fill="#fff"/><text x="20" y="60" font-size="24">{1}</text></svg>'
)


def qr_image(target: str, wanted: str, size: int) -> web.Response:
    """Return the image: a PNG, whose text chunk `target` holds the URL, or an SVG, whose text is it."""
    headers = {"Cache-Control": "no-store"}
    if wanted == "IMAGE/PNG":
        return web.Response(body=_png(target, size), content_type="image/png", headers=headers)
    return web.Response(text=_SVG.format(_SIZE, target), content_type="image/svg+xml", headers=headers)


def _png(target: str, size: int) -> bytes:
    # White: each line has its filter, and then a bit for each pixel.
    line = b"\0" + b"\xff" * -(-size // 8)
    parts = (
        (b"IHDR", struct.pack(">II5B", size, size, *_DEPTH)),
        (b"tEXt", b"target\0" + target.encode("latin-1", "replace")),
        (b"IDAT", zlib.compress(line * size)),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
