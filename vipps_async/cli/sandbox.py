"""`vipps-async sandbox`: a Vipps that runs on this machine until Ctrl-C."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import click

from vipps_async.cli.commands import Command, Options, UsageError
from vipps_async.cli.options import Reader, number_from
from vipps_async.cli.output import emit, plain, say
from vipps_async.sandbox import SandboxCredentials, SandboxError, SandboxServer, SandboxSettings
from vipps_async.sandbox.ledger.settings import CURRENCIES, SALES_UNIT, TOLD_KEYS
from vipps_async.sandbox.server import FACES

#: Seconds: no token needs to live longer than the 365 days after which nothing can be refunded.
_LONGEST_LIFETIME = 365 * 86_400
_port = number_from(int, 0, 65535, "no port: a number from 0 to 65535")
_rate = number_from(float, 0.0, 1.0, "no rate: a number from 0 to 1")
_lifetime = number_from(int, 1, _LONGEST_LIFETIME, f"no lifetime: seconds, from 1 to {_LONGEST_LIFETIME}")
_seconds = number_from(float, 0.0, float(_LONGEST_LIFETIME), f"no time: seconds, from 0 to {_LONGEST_LIFETIME}")
#: What `--refuse` may name: codes of each API.
_UNIT_CODES = [code for face in FACES for code in face.unit_codes]
#: `_` occurs in the names of containers.
_HOST = re.compile(r"[0-9A-Za-z]([0-9A-Za-z._-]*[0-9A-Za-z])?")


def command() -> Command:
    """Make `sandbox`."""
    made = Command(
        "sandbox",
        _run,
        "run a Vipps sandbox on this machine",
        "Runs Vipps' eCom, ePayment and Webhooks APIs on this machine, with a page on which to approve. It takes the "
        "keys that it prints, for any sales unit, and refuses others.",
        examples=("sandbox", "sandbox --port 0 --state sandbox.json", "sandbox --fault-rate 0.1 --seed 7"),
        check=_check,
    )
    made.option("--host", default="127.0.0.1", help="where to listen")
    made.option("--port", type=_port, default=8787, help="where to listen; 0 takes a free one")
    made.option(
        "--allowed-hosts",
        type=Reader(_hosts),
        multiple=True,
        metavar="NAME[,NAME]",
        help="further names that requests may come to, such as this container's; loopback and --host are good anyway",
    )
    made.option(
        "--callback-hosts",
        type=Reader(_hosts),
        multiple=True,
        metavar="NAME[,NAME]",
        help="the hosts that callbacks are sent to, http included; on loopback, loopback is good anyway",
    )
    made.option("--no-rate-limits", is_flag=True, help="switch off the limits per order")
    made.option(
        "--state",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="keep payments, webhooks and clock in this file; without it they end with Ctrl-C",
    )
    made.option(
        "--fault-rate",
        type=_rate,
        default=0.0,
        metavar="RATE",
        help="the part of requests that fails, 0 to 1",
    )
    made.option("--seed", type=int, default=1, help="which ones fail, and how")
    made.option(
        "--token-lifetime",
        type=_lifetime,
        default=3600,
        metavar="SECONDS",
        help="how long an access token lives",
    )
    made.option(
        "--direct-capture",
        type=Reader(_merchant_serial_number),
        multiple=True,
        metavar="MSN",
        help="a sales unit whose payments are captured with the reservation; may be given several times",
    )
    made.option(
        "--request-id-optional",
        is_flag=True,
        help="take captures and refunds without X-Request-Id, which Vipps requires; each moves money anew",
    )
    _add_settings(made)
    return made


def _add_settings(made: Command) -> None:
    made.option("--strict", is_flag=True, help="refuse fields that Vipps ignores, and nulls")
    for flag, what in (
        ("--skip-landing-page", "a sales unit that may skip the landing page; may be given several times"),
        ("--nin", "a sales unit that may ask for the national identity number; may be given several times"),
        ("--express", "a sales unit that may use ePayment's express checkout; may be given several times"),
        ("--long-living", "a sales unit that may say when an ePayment payment expires; may be given several times"),
        ("--partial-capture", "a sales unit outside Norway that may capture in parts; may be given several times"),
        ("--late-capture", "a sales unit outside Norway that has 180 days to capture; may be given several times"),
    ):
        made.option(flag, type=Reader(_merchant_serial_number), multiple=True, metavar="MSN", help=what)
    made.option(
        "--currency",
        type=Reader(_currency),
        multiple=True,
        metavar="MSN=CODE",
        help=f"a sales unit's currency, where that is not NOK: {', '.join(sorted(CURRENCIES))}; with another one "
        "it goes by the rules of Denmark and Finland",
    )
    made.option(
        "--refuse",
        type=Reader(_refused),
        multiple=True,
        metavar="MSN=CODE",
        help=f"a sales unit whose payments are refused with a code of eCom or ePayment: {', '.join(_UNIT_CODES)}",
    )
    for flag, what in (
        ("--keys", "invented keys to take, instead of those that it prints; may be given several times"),
        ("--partner-keys", "the same for a partner, who must name a sales unit of these on every call"),
    ):
        made.option(flag, type=Reader(_keys), multiple=True, metavar="ID:SECRET:KEY[:MSN,MSN]", help=what)
    made.flag("--any-keys", "take any keys that are not empty")
    made.option(
        "--sub-delay",
        type=_seconds,
        default=0.5,
        metavar="SECONDS",
        help="seconds after approval until `sub` appears in details",
    )
    made.option(
        "--unknown-for",
        type=_seconds,
        default=3600.0,
        metavar="SECONDS",
        help="how long a payment of 2.01 NOK stays unknown after approval",
    )
    made.option("--numeric-callback-msn", is_flag=True, help="callbacks give the sales unit as a number, not as text")


def _check(options: Options) -> None:
    if options.any_keys and (options.keys or options.partner_keys):
        raise UsageError("--any-keys and --keys: which ones are taken?")


def _merchant_serial_number(text: str) -> str:
    if not SALES_UNIT.fullmatch(text):
        raise ValueError(f"{text} is no sales unit: 4 to 10 digits")
    return text


def _refused(text: str) -> tuple[str, str]:
    unit, _, code = text.partition("=")
    if code not in _UNIT_CODES:
        raise ValueError(f"{text} has no code that can be chosen: {', '.join(_UNIT_CODES)}")
    return _merchant_serial_number(unit), code


def _currency(text: str) -> tuple[str, str]:
    unit, _, currency = text.partition("=")
    if currency not in CURRENCIES:
        raise ValueError(f"{text} has no currency of Vipps: {', '.join(sorted(CURRENCIES))}")
    return _merchant_serial_number(unit), currency


def _keys(text: str) -> SandboxCredentials:
    names, units = text.split(":")[:3], text.split(":")[3:]
    if len(names) < 3 or not all(names) or len(units) > 1:
        # Not the text: somebody may have given real keys.
        raise ValueError("keys are client id, client secret and subscription key, with : between them")
    return SandboxCredentials(
        client_id=names[0],
        client_secret=names[1],
        subscription_key=names[2],
        merchant_serial_numbers=frozenset(map(_merchant_serial_number, units[0].split(","))) if units else None,
    )


def _hosts(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not (_HOST.fullmatch(name) or _is_address(name)):
            raise ValueError(f"{name!r} is no host name or address: give it without scheme and port")
    return names


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


async def _run(options: Options) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # What the sandbox warns of, such as listening to others.
    logging.basicConfig(format="%(levelname)s: %(message)s")
    given = [*options.keys, *(replace(keys, partner=True) for keys in options.partner_keys)]
    settings = SandboxSettings(
        # Not any: who comes to this port by mistake, meaning another sandbox, is refused.
        credentials=None if options.any_keys else given or [TOLD_KEYS],
        direct_capture=frozenset(options.direct_capture),
        skip_landing_page=frozenset(options.skip_landing_page),
        nin=frozenset(options.nin),
        currencies=dict(options.currency),
        partial_capture=frozenset(options.partial_capture),
        late_capture=frozenset(options.late_capture),
        long_living=frozenset(options.long_living),
        express=frozenset(options.express),
        refused_units=dict(options.refuse),
        sub_delay=options.sub_delay,
        unknown_for=options.unknown_for,
        numeric_callback_msn=options.numeric_callback_msn,
        strict=options.strict,
        request_id_required=not options.request_id_optional,
    )
    server = SandboxServer(
        host=options.host,
        port=options.port,
        settings=settings,
        rate_limits=not options.no_rate_limits,
        token_lifetime=options.token_lifetime,
        allowed_hosts=[name for names in options.allowed_hosts for name in names],
        callback_hosts=[name for names in options.callback_hosts for name in names],
        state=options.state,
    )
    if options.fault_rate:
        server.faults.randomise(rate=options.fault_rate, seed=options.seed)
    try:
        await server.start()
    except SandboxError as error:
        say(f"vipps-async: {plain(error)}")
        return 1
    except OSError as error:
        say(f"vipps-async: cannot listen on {options.host}:{options.port}: {_reason(error)}")
        return 1
    try:
        taken = "the keys that it was given" if given else "these keys, and no others"
        if options.any_keys:
            taken = "any keys that are not empty"
        exports = [f"VIPPS_BASE_URL={server.url} VIPPS_ENVIRONMENT=test VIPPS_MERCHANT_SERIAL_NUMBER=123456"]
        if not given:
            exports.append(
                f"VIPPS_CLIENT_ID={TOLD_KEYS.client_id} VIPPS_CLIENT_SECRET={TOLD_KEYS.client_secret} "
                f"VIPPS_SUBSCRIPTION_KEY={TOLD_KEYS.subscription_key}"
            )
        emit(
            f"Vipps sandbox at {server.url} (Ctrl-C ends it). Open it in a browser to see the payments.\n"
            f"It takes {taken}:\n" + "\n".join(f"  export {line}" for line in exports)
        )
        await stop.wait()
    finally:
        await server.aclose()
    return 0


def _reason(error: OSError) -> str:
    # asyncio packs a text of its own around the system's; an unknown host name has a negative number instead.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or "the address cannot be used").lower()
