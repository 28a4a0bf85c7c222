"""Whether a connection of httpx holds bytes that nobody has asked for: they must not become the next answer.

httpx itself looks at the socket only before it uses a connection again. Bytes that came together with the last answer
have left the socket by then, and lie in one of three buffers: of h11, of the TLS layer, or of anyio. None of them can
be asked through a public name, so this file knows the private ones, and says "not silent" wherever it does not find
them: then a connection is not used again, which costs time and is never wrong.
"""

from __future__ import annotations

import httpx

__all__ = ["spoil", "was_silent"]


def was_silent(response: httpx.Response) -> bool:
    """Tell whether nothing has come behind the end of an answer that was read whole, and nothing waits to be read."""
    try:
        trailing, ended = _h11_of(response).trailing_data
        stream = response.extensions["network_stream"]._stream  # noqa: SLF001 - see above
        if (tls_buffer := getattr(stream, "_read_bio", None)) is not None:
            if tls_buffer.pending:
                return False
            stream = stream.transport_stream
        waiting = stream._protocol.read_queue  # noqa: SLF001 - see above
    except (AttributeError, KeyError):
        return False
    return not (trailing or ended or waiting)


def spoil(response: httpx.Response) -> None:
    """Let the pool of an adopted client close the connection of this answer instead of using it again."""
    try:
        _h11_of(response).send_failed()
    except AttributeError:
        return


def _h11_of(response: httpx.Response):  # type: ignore[no-untyped-def]  # noqa: ANN202 - private, and so without a type
    return response.stream._httpcore_stream._stream._connection._h11_state  # type: ignore[union-attr]  # noqa: SLF001
