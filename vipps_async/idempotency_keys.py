"""Idempotency keys: new ones, and ones that follow from what a job is about and stay the same when it runs twice."""

from __future__ import annotations

import base64
import hashlib
import os
import time

from vipps_async.errors import InvalidInputError

#: Tells derived keys from others, and this way of deriving from any later one.
_PREFIX = "d1-"

#: How much of the digest is kept, in bytes: 160 bits are 32 base32 characters without padding, and with the prefix
#: 35 of the 40 characters that Vipps takes. It takes about 2⁸⁰ keys before two are likely to be alike.
_KEPT = 20

#: The whole numbers that every language with 64-bit integers can write the same way.
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def new_idempotency_key() -> str:
    """Make a new idempotency key: a UUID of version 7 (RFC 9562), 36 characters.

    It begins with the time in milliseconds, so that keys made one after the other lie side by side in a journal's
    index, and ends with 74 random bits.
    """
    # The layout of RFC 9562, section 5.7: 48 bits of time, version 7, 12 random bits, variant 2, 62 random bits. They
    # come from the operating system: a sequence of our own would go on alike in both processes after a fork.
    moment = time.time_ns() // 1_000_000 & 2**48 - 1
    bits = int.from_bytes(os.urandom(10)) & ~(0xF << 76 | 0x3 << 62)
    text = f"{moment << 80 | 0x7 << 76 | 0x2 << 62 | bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derive_idempotency_key(*parts: str | int) -> str:
    r"""Make an idempotency key from the parts that say what is to be done: the same parts, the same key, everywhere.

    Use it where the same job may run twice: ``derive_idempotency_key("capture", order_id, shipment_number)``. Parts
    that differ in anything give another key: their number, their order, where one ends and the next begins, and
    whether one is text or a number (``1`` is not ``"1"``). Put a number of your own among the parts if the same
    thing may rightly be done twice. Amounts belong among the parts only if another amount means another operation:
    left out, a wrong second amount is refused by Vipps as a mismatch; put in, it moves money again. `Money` goes in as
    its `value` and its `currency`.

    The recipe, for other languages; it will not change:

    1. Write each part as bytes: text as UTF-8, exactly as it is (no Unicode normalisation, no trimming, no change of
       case); a whole number in decimal ASCII, with a leading ``-`` if negative, no ``+`` and no leading zeros.
    2. Put before each of them its kind (``s`` for text, ``i`` for a number), the count of those bytes in decimal
       ASCII, and a colon. ``"ab"`` becomes ``s2:ab``, ``-7`` becomes ``i2:-7``, ``"ø"`` becomes ``s2:`` and the
       bytes ``c3 b8``.
    3. Join all of that without anything between, and take its SHA-256.
    4. Keep the first 20 bytes, write them in base32 (RFC 4648, section 6) in lower case, which needs no padding, and
       put ``d1-`` before.

    A key is always 35 characters of ``a-z``, ``2-7``, ``1`` and ``-``. To check another implementation against::

        ("capture", "acme-shop-123-order123abc", 1)  d1-qyauamperjuhwdnm7znbvjxy7pqbqzb3
        ("a", "bc")                                  d1-jod66jysr7bdl3rbrjaxw6whf3yu6qxn
        ("ab", "c")                                  d1-cognxuzh5l272h3zjxlwsxa6parnrmf4
        (1,)                                         d1-67sl3mb656wkammukbyfzyctvd37hfw3
        ("1",)                                       d1-5jglhb3t3pvweemldjy7ocjjy4s6zvnk
        (-9223372036854775808, "")                   d1-c3skzjpittkpm6ynog2jglgyycg4zefv
        ("Blåbær", "\U0001f9e6")                     d1-n4bqz4yj7tqovsiaht5kcpry7vtpujej

    In the last one ``å`` and ``æ`` are one code point each (U+00E5, U+00E6), and the second part is a pair of socks.

    Args:
        parts: one or more texts and whole numbers; numbers fit in 64 bits with a sign.

    Returns:
        The key, fit for a header.

    Raises:
        InvalidInputError: there are no parts, or one is neither text nor such a number (a bool, float or None), or is
            text that UTF-8 cannot hold (a lone surrogate).
    """
    if not parts:
        raise InvalidInputError("parts", "one or more texts and whole numbers", value=parts)
    recipe = b"".join(_written(part) for part in parts)
    digest = hashlib.sha256(recipe).digest()[:_KEPT]
    return _PREFIX + base64.b32encode(digest).decode("ascii").lower()


def _written(part: object) -> bytes:
    if isinstance(part, str):
        try:
            content = part.encode()
        except UnicodeEncodeError as error:
            raise InvalidInputError("parts", "text without lone surrogates, and whole numbers", value=part) from error
        return b"s%d:%b" % (len(content), content)
    if isinstance(part, int) and not isinstance(part, bool) and _SMALLEST <= part <= _LARGEST:
        content = b"%d" % part
        return b"i%d:%b" % (len(content), content)
    raise InvalidInputError("parts", "texts and whole numbers of 64 bits (no bool, float or None)", value=part)
