"""The rules that arguments must keep, checked before any I/O."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from vipps_async.errors import InvalidInputError
from vipps_async.money import LARGEST_AMOUNT, MINIMUM_AMOUNT, Money

# All patterns are used with fullmatch, for "$" lets a trailing line break through, and name their digits, for \d
# takes those of every script.
_ORDER_ID = re.compile(r"[a-zA-Z0-9-]{1,50}")
_REFERENCE = re.compile(r"[a-zA-Z0-9-]{8,64}")
_MSN = re.compile(r"[0-9]{4,10}")
_MOBILE_NUMBER = re.compile(r"[0-9]{8}")
#: What a header may hold: visible ASCII and inner spaces. Anything else is refused, above all line breaks.
HEADER_VALUE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
#: Comes back in the header `Authorization`; 255 characters is Vipps' limit.
_AUTH_TOKEN = re.compile(r"(?=.{1,255}\Z)[!-~]([ -~]*[!-~])?")
VISIBLE_ASCII: Final = re.compile(r"[!-~]+")
#: More than any token in a URL has, in characters.
_TOKEN_LENGTH = 4_096
_SCOPE_VALUE = re.compile(r"[A-Za-z][A-Za-z0-9._:-]{0,49}")
#: What JSON or a screen cannot show: control characters but for tab and line breaks, and halves of surrogate pairs.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

#: Vipps' limit for every URL of an eCom payment.
_URL_LENGTH = 255
#: Vipps' limit for the `returnUrl` of an ePayment, taken for its other URLs too.
_LONG_URL_LENGTH = 2_500
#: What may stand in a URL (RFC 3986): visible ASCII without the characters that must be percent-encoded.
_URL = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]+\]")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
#: The ports that Vipps calls.
_PORTS = frozenset({80, 443, 8080})
#: Ends of host names that are no public ones.
_LOCAL_NAMES = frozenset({"internal", "lan", "local", "localdomain", "localhost"})
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://.*")
#: The names of this very machine.
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
#: Schemes that a browser or a server acts upon by itself: they lead to no app.
_NO_APP = frozenset(
    {"about", "blob", "chrome", "content", "data", "file", "filesystem", "ftp", "ftps", "http", "https", "jar"}
    | {"javascript", "mailto", "sms", "tel", "vbscript", "view-source", "ws", "wss"}
)

#: The scopes that Vipps documents for payments; others may come.
_SCOPES = {scope.lower(): scope for scope in ("name", "address", "email", "phoneNumber", "birthDate", "nin")}


def check_order_id(value: object) -> str:
    """Return an order id that keeps Vipps' rule. Short and digit-only ids are slow at Vipps, but allowed."""
    if not isinstance(value, str) or not _ORDER_ID.fullmatch(value):
        raise InvalidInputError("order_id", "1 to 50 characters of a-z, A-Z, 0-9 and '-'", value=value)
    return value


def check_reference(value: object) -> str:
    """Return a reference of the ePayment API that keeps Vipps' rule."""
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        rule = "8 to 64 characters of a-z, A-Z, 0-9 and '-'"
        if isinstance(value, str) and len(value) < 8 and _ORDER_ID.fullmatch(value):
            rule += " (a payment that eCom made under a shorter order id can be handled by eCom only)"
        raise InvalidInputError("reference", rule, value=value)
    return value


def check_amount(value: object) -> int:
    """Return an amount in øre, given as whole øre or as `Money` in NOK.

    None and 0 are refused like any other wrong sum: they mean "everything" to Vipps, and a sum that was computed
    wrongly must never take everything.
    """
    oere = value if type(value) is int else _oere(value)
    if not MINIMUM_AMOUNT <= oere <= LARGEST_AMOUNT:
        rule = (
            f"Money in NOK, or whole øre as int, {MINIMUM_AMOUNT} to {LARGEST_AMOUNT} øre "
            "(leave it out where all that remains is meant)"
        )
        raise InvalidInputError("amount", rule, value=value)
    return oere


def _oere(value: object) -> int:
    if isinstance(value, Money):
        return value.value if value.currency == "NOK" else -1
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else -1


def check_shipping_cost(value: object) -> Decimal:
    """Return a shipping cost in kroner, the only sum that Vipps takes in NOK with decimals.

    It is given like every other amount: as whole øre or as `Money` in NOK.
    """
    oere = value if type(value) is int else _oere(value)
    if not 0 <= oere <= LARGEST_AMOUNT:
        rule = f"Money in NOK, or whole øre as int, 0 to {LARGEST_AMOUNT} øre"
        raise InvalidInputError("shipping_cost", rule, value=value)
    return Decimal(oere).scaleb(-2)


def check_text(parameter: str, value: object, *, longest: int, shortest: int = 1, secret: bool = False) -> str:
    """Return a text of `shortest` to `longest` characters that is more than white space and that JSON can hold."""
    if (
        not isinstance(value, str)
        or not shortest <= len(value) <= longest
        or not value.strip()
        or _UNWRITABLE.search(value) is not None
    ):
        rule = f"text of {shortest} to {longest} characters without control characters"
        raise InvalidInputError(parameter, rule, value=value, secret=secret)
    return value


def check_transaction_text(value: object) -> str:
    """Return a text that the customer sees in Vipps: 1 to 100 characters."""
    return check_text("transaction_text", value, longest=100)


def check_idempotency_key(value: object, *, longest: int = 40) -> str:
    """Return a key that fits its header: Vipps takes 40 characters in `X-Request-Id`, 50 in `Idempotency-Key`."""
    if not isinstance(value, str) or len(value) > longest or not HEADER_VALUE.fullmatch(value):
        raise InvalidInputError("idempotency_key", f"1 to {longest} printable ASCII characters", value=value)
    return value


def check_merchant_serial_number(value: object) -> str:
    """Return a merchant serial number: text, because Vipps answers a number with HTTP 500."""
    if not isinstance(value, str) or not _MSN.fullmatch(value):
        raise InvalidInputError("merchant_serial_number", "a string of 4 to 10 digits", value=value)
    return value


def check_mobile_number(value: object) -> str:
    """Return a Norwegian phone number without its country code. It is personal: the error does not show it."""
    if not isinstance(value, str) or not _MOBILE_NUMBER.fullmatch(value):
        raise InvalidInputError("mobile_number", "a string of 8 digits without country code or spaces", secret=True)
    return value


def check_auth_token(value: object) -> str:
    """Return the token that Vipps is to send along with its callbacks. It is secret: the error does not show it."""
    if not isinstance(value, str) or not _AUTH_TOKEN.fullmatch(value):
        raise InvalidInputError("auth_token", "1 to 255 printable ASCII characters", secret=True)
    return value


def check_token(value: object) -> str:
    """Return the token out of a payment's URL. It is secret: the error does not show it."""
    if not isinstance(value, str) or len(value) > _TOKEN_LENGTH or not VISIBLE_ASCII.fullmatch(value):
        raise InvalidInputError("token", "the token out of the payment's URL", secret=True)
    return value


def check_sub(value: object) -> str:
    """Return a user's identifier: at most 255 ASCII characters (OpenID Connect Core, section 2). It is personal."""
    rule = "1 to 255 visible ASCII characters without a path segment '.' or '..'"
    if not isinstance(value, str) or len(value) > 255 or not VISIBLE_ASCII.fullmatch(value):
        raise InvalidInputError("sub", rule, secret=True)
    # Percent-encoding leaves dots alone, and some proxies decode %2F before they resolve dots.
    if {".", ".."}.intersection(re.split(r"[/\\]", value)):
        raise InvalidInputError("sub", rule, secret=True)
    return value


def check_flag(parameter: str, value: object) -> bool:
    """Return a bool that is one: 0, "false" and the like are refused."""
    if not isinstance(value, bool):
        raise InvalidInputError(parameter, "True or False", value=value)
    return value


def check_seconds(parameter: str, value: object) -> float:
    """Return a span of time that has an end."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InvalidInputError(parameter, "a positive, finite number of seconds", value=value)
    return value


def check_scope(value: object) -> str:
    """Return a scope as Vipps wants it: values separated by spaces, each once, in the order given.

    Values that Vipps may add later are let through; a known one in other capitals is a slip and refused.
    """
    rule = f"one or more of {', '.join(_SCOPES.values())}, as an iterable of strings or separated by spaces"
    if isinstance(value, str):
        values: list[object] = list(value.split(" "))
    elif isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        values = list(value)
    else:
        raise InvalidInputError("scope", rule, value=value)
    words: dict[str, None] = {}
    for word in values:
        if not isinstance(word, str) or not _SCOPE_VALUE.fullmatch(word) or _SCOPES.get(word.lower(), word) != word:
            raise InvalidInputError("scope", rule, value=value)
        words[word] = None
    if not words:
        raise InvalidInputError("scope", rule, value=value)
    return " ".join(words)


def check_callback_url(
    parameter: str,
    value: object,
    *,
    loopback: bool,
    is_vipps: bool = False,
    is_prefix: bool = True,
    stacklevel: int = 2,
) -> str:
    """Return a URL that Vipps' servers call.

    Args:
        parameter: its name in an error.
        value: the URL.
        loopback: whether http is allowed for this very machine, for a Vipps that runs here.
        is_vipps: whether it goes to Vipps' own host, which takes and reaches public hosts only.
        is_prefix: whether Vipps puts a path of its own behind it: it has no query then, and comes back without slashes
            at its end. Otherwise it is called as it is, and may be longer.
        stacklevel: how many calls up the application's line is, for a warning: this one's caller is 1, and a method of
            an API that calls it has the application at 2.

    Warns:
        UserWarning: Vipps takes it, but does not reach it: a private address, or a port of no web server.
    """
    longest = _URL_LENGTH if is_prefix else _LONG_URL_LENGTH
    without = "user, password, query or fragment" if is_prefix else "user, password or fragment"
    rule = f"an https URL of at most {longest} characters, with a host and without {without}"
    parts = _split(parameter, value, rule, longest)
    if not _is_web(parts, loopback=loopback) or ({"#", "?"} if is_prefix else {"#"}) & set(str(value)):
        raise _url_error(parameter, rule, value)
    if is_vipps:
        violation = _violation_at_vipps(parts) or ("with https" if parts.scheme != "https" else "")
        if violation or _is_loopback(parts.hostname):
            raise _url_error(parameter, f"a URL {violation or 'of a public host'}: Vipps refuses others", value)
        _warn_of_unreachable(parameter, parts, stacklevel)
    return str(value).rstrip("/") if is_prefix else str(value)


def check_webhook_url(value: object, *, loopback: bool, is_vipps: bool = False) -> str:
    """Return the URL of a webhook, as it is: deliveries are signed over its very path and query.

    Args:
        value: the URL.
        loopback: whether http is allowed for this very machine, for a Vipps that runs here.
        is_vipps: whether it goes to Vipps' own host, which delivers to public hosts and usual ports only.
    """
    # Beyond the rules of a callback's URL, for here nothing but deliveries tells that it is out of reach.
    url = check_callback_url("url", value, loopback=loopback, is_prefix=False)
    parts = urlsplit(url)
    if is_vipps:
        address = _address(parts.hostname or "")
        if _violation_at_vipps(parts) or parts.scheme != "https" or not (address is None or address.is_global):
            raise _url_error("url", "an https URL of a public host: Vipps reaches no other", value)
        if (parts.port or 443) not in _PORTS:
            ports = ", ".join(map(str, sorted(_PORTS)))
            raise _url_error("url", f"a URL with one of the ports {ports}: Vipps calls no other", value)
    return url


def check_fall_back(value: object, *, loopback: bool, is_vipps: bool = False) -> str:
    """Return what leads an eCom customer back: what `check_return_url` takes, or ``INTENT``."""
    if isinstance(value, str) and value == "INTENT":
        return value
    return check_return_url(
        "fall_back", value, loopback=loopback, is_vipps=is_vipps, longest=_URL_LENGTH, or_else=", or INTENT"
    )


def check_return_url(
    parameter: str,
    value: object,
    *,
    loopback: bool,
    is_vipps: bool = False,
    longest: int = _LONG_URL_LENGTH,
    or_else: str = "",
) -> str:
    """Return a URL that the customer's device opens: an https URL, or an app's scheme such as ``myapp://``.

    Args:
        parameter: its name in an error.
        value: the URL.
        loopback: whether http is allowed for this very machine.
        is_vipps: whether it goes to Vipps' own host, which takes no ``localhost``.
        longest: the most characters.
        or_else: what else may be given, for the error.
    """
    rule = f"an https URL or an app's scheme (myapp://...) of at most {longest} characters{or_else}"
    parts = _split(parameter, value, rule, longest)
    if parts.scheme in {"http", "https"}:
        fits = _is_web(parts, loopback=loopback)
        violation = _violation_at_vipps(parts) if fits and is_vipps else ""
        if violation:
            hint = " (on this machine use http://127.0.0.1)" if loopback else ""
            raise _url_error(parameter, f"a URL {violation}: Vipps refuses others{hint}", value)
    else:
        fits = parts.scheme not in _NO_APP and "@" not in parts.netloc
    if not fits:
        raise _url_error(parameter, rule, value)
    return str(value)


def _violation_at_vipps(parts: SplitResult) -> str:
    """Say what Vipps wants of a URL that this one has not; Vipps checks by the rules of Apache Commons' validator."""
    host = (parts.hostname or "").removesuffix(".")
    labels = host.split(".")
    if _address(host) is None:
        if len(labels) < 2 or labels[-1] in _LOCAL_NAMES:
            return "of a public host, not localhost nor a bare name"
        if "_" in host or not all(labels):
            return "of a host without '_' and empty parts"
    if "//" in parts.path or ".." in parts.path.split("/"):
        return "without '//' and '..' in its path"
    if _BROKEN_ESCAPE.search(parts.path + parts.query):
        return "with two hexadecimal digits behind each '%'"
    return ""


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str | None) -> bool:
    address = _address(host or "")
    return host in LOOPBACK or (address is not None and (address.is_loopback or address.is_unspecified))


def _warn_of_unreachable(parameter: str, parts: SplitResult, stacklevel: int) -> None:
    address = _address(parts.hostname or "")
    doubt = ""
    if address is not None and not address.is_global:
        doubt = f"is on {address}, an address that Vipps does not reach"
    elif (parts.port or 443) not in _PORTS:
        doubt = f"has port {parts.port}; Vipps calls {', '.join(map(str, sorted(_PORTS)))} only"
    if doubt:
        text = f"{parameter} {doubt}: no callback will come, so ask details for the outcome"
        warnings.warn(text, UserWarning, stacklevel=stacklevel + 2)


def _split(parameter: str, value: object, rule: str, longest: int) -> SplitResult:
    if isinstance(value, str) and len(value) <= longest and _URL.fullmatch(value) and _SCHEME.fullmatch(value):
        try:
            parts = urlsplit(value)
            # Read here because it raises for a port that is no number or too large.
            if parts.port != 0:
                return parts
        except ValueError:
            pass
    raise _url_error(parameter, rule, value)


def _is_web(parts: SplitResult, *, loopback: bool) -> bool:
    host = parts.hostname
    if not host or "@" in parts.netloc or not _HOST.fullmatch(f"[{host}]" if "[" in parts.netloc else host):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and loopback and host in LOOPBACK)


def _url_error(parameter: str, rule: str, value: object) -> InvalidInputError:
    # What stands before an @ may be a password, what stands behind a ? a key.
    secret = isinstance(value, str) and not {"@", "?"}.isdisjoint(value)
    return InvalidInputError(parameter, rule, value=value, secret=secret)
