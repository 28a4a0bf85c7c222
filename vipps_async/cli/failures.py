"""Maps errors to exit statuses, by one rule for all commands, and to the JSON object of `--json`."""

from __future__ import annotations

from collections.abc import Mapping

from vipps_async.cli.commands import Options
from vipps_async.cli.exit_status import ExitStatus
from vipps_async.cli.output import Printed, emit, json_line
from vipps_async.core.payment_api import PaymentApi
from vipps_async.errors import (
    ApiError,
    ConfigurationError,
    Effect,
    IdempotencyMismatchError,
    InvalidInputError,
    JournalError,
    TransportError,
    VippsError,
)
from vipps_async.journals.sqlite.ownership import JournalInUseError

#: What an object calls a failure that was no exception.
_KINDS: Mapping[int, str] = {
    ExitStatus.REFUSED: "Declined",
    ExitStatus.USAGE: "UsageError",
    ExitStatus.UNKNOWN: "OutcomeUnknown",
    ExitStatus.BUSY: "JournalInUseError",
}


def status_of(error: VippsError) -> int:
    """Return the exit status of an error.

    UNKNOWN: money may have moved. Else nothing was sent or nothing took effect: BUSY where another process has the
    journal, USAGE where the command line, the settings or the journal cannot be used, and REFUSED where Vipps refused
    or was not reached.
    """
    if error.effect is not Effect.NONE:
        return ExitStatus.UNKNOWN
    if isinstance(error, JournalInUseError):
        return ExitStatus.BUSY
    # A key that is another operation's is refused here, by the journal, or by Vipps with a status.
    is_key_of_another = isinstance(error, IdempotencyMismatchError) and error.status == 0
    is_unusable = isinstance(error, ConfigurationError | InvalidInputError | JournalError)
    # Whether a journal is of the sandbox there is asked of the sandbox.
    is_unusable = is_unusable and not isinstance(error.__cause__, TransportError)
    return ExitStatus.USAGE if is_key_of_another or is_unusable else ExitStatus.REFUSED


def emit_error(printed: Printed, status: int, options: Options | None = None) -> None:
    """Print the object of a failure, for `--json`, unless the command has printed a result.

    Args:
        printed: what the command has printed.
        status: its exit status.
        options: its options; None: they could not be read.
    """
    if not status or printed.has_result:
        return
    error = printed.error
    api, payment = getattr(options, "api", None), getattr(options, "payment", None)
    codes = [f"{info.group} {info.code}".strip() for info in error.errors] if isinstance(error, ApiError) else []
    facts = {
        "api": api.name if isinstance(api, PaymentApi) else None,
        "payment": payment,
        "kind": _KINDS.get(status, "Failure") if error is None else type(error).__name__,
        "effect": ("possible" if status == ExitStatus.UNKNOWN else "none")
        if error is None
        else error.effect.name.lower(),
        "message": printed.text if error is None else error.message,
        "advice": "" if error is None else error.advice,
        "codes": codes,
        "exit_status": status,
    }
    emit(json_line({"error": facts}))
