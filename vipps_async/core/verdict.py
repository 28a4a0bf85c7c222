"""The verdict on an operation: whether it took effect, decided in one place from all that is known of it.

A call that is given up, the journal and recovery all use it. Evidence about
one attempt is never a verdict on the operation: a failed entry in the history is the end of one attempt, and a refusal
of the second attempt says nothing about the first, which may arrive later. Absence proves nothing before the horizon
(`settle_after` seconds after the last attempt began), while an entry may still appear or a request still arrive.

The rows are read from the top; the first that fits decides.

==========================  =========  ===========  ==============================  ===============================
evidence (the history)      in doubt   horizon      consistent looks beyond it      verdict
==========================  =========  ===========  ==============================  ===============================
the operation succeeded     any        any          any                             APPLIED
it is excluded for good     any        any          any                             REFUSED if the last refusal can
                                                                                    never change, else NOT_APPLIED
anything else, or none      none       any          any                             REFUSED if the last refusal can
                                                                                    never change, else NOT_APPLIED
inconclusive, or none       some       any          any                             OPEN
no success                  some       not passed   any                             OPEN
no success                  some       passed       fewer than two                  OPEN
no success                  some       passed       two, a minute apart or more     REFUSED if the last refusal can
                                                                                    never change, else NOT_APPLIED
==========================  =========  ===========  ==============================  ===============================

"Excluded for good" is what no request that arrives later can undo: a cancel that does not ask to release the rest, of a
payment of which something is captured. An answer that cannot be used settles nothing: one of success that cannot be
read, or that is about another operation than was asked for, leaves its attempt in doubt, and the history is looked at
before anything is sent again.

"In doubt" counts the attempts ever begun under the key, in every process, that are not known to have ended without
effect: refused in their own right, or never sent. The count is never used to shorten the horizon, since it may be too
low: a journal restored from a copy, or a key that was used elsewhere.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen

from vipps_async.core.operation import Applied, Evidence, NotApplied
from vipps_async.errors import Effect

#: How far two looks at the history must lie apart to count as two.
LOOKS_APART = timedelta(minutes=1)


class Verdict(enum.Enum):
    """Whether an operation took effect."""

    #: It took effect.
    APPLIED = "applied"
    #: It had no effect and never will have one under this key.
    REFUSED = "refused"
    #: It had no effect; it may be begun again with the same key.
    NOT_APPLIED = "not applied"
    #: Not known yet.
    OPEN = "open"


@frozen(kw_only=True)
class Facts:
    """The facts that the verdict on an operation follows from."""

    #: How many of the attempts ever begun under the key are not known to have ended without effect.
    in_doubt: int
    #: Whether the last attempt was refused for a reason that can never change.
    refused_for_good: bool = False
    #: What the history showed; None: it was not looked at.
    evidence: Evidence[Any] | None = None
    #: When the last attempt began; aware, UTC. None: the horizon does not matter, as nothing is settled by it.
    last_attempt_at: datetime | None = None
    #: When the history showed first, beyond the horizon, that it had not succeeded; None: never yet.
    first_look_at: datetime | None = None


def decide(facts: Facts, *, now: datetime, settle_after: timedelta) -> Verdict:
    """Look the verdict up in the table above.

    Args:
        facts: what is known.
        now: the time of the look that gave the evidence; aware, UTC.
        settle_after: how long after the last attempt began a request may still arrive and an entry still appear.
    """
    if isinstance(facts.evidence, Applied):
        return Verdict.APPLIED
    without_effect = Verdict.REFUSED if facts.refused_for_good else Verdict.NOT_APPLIED
    if facts.in_doubt <= 0 or (isinstance(facts.evidence, NotApplied) and facts.evidence.excluded):
        return without_effect
    if not isinstance(facts.evidence, NotApplied) or facts.last_attempt_at is None:
        return Verdict.OPEN
    horizon = facts.last_attempt_at + settle_after
    first = facts.first_look_at
    if now < horizon or first is None or first < horizon or now < first + LOOKS_APART:
        return Verdict.OPEN
    return without_effect


def effect_of(verdict: Verdict, *, probable: bool = False) -> Effect:
    """Derive the `effect` of an error.

    Args:
        verdict: the verdict on its operation.
        probable: whether something speaks for an effect: an answer of success that cannot be used, or a refusal that
            says that it was done before.
    """
    if verdict in {Verdict.REFUSED, Verdict.NOT_APPLIED}:
        return Effect.NONE
    return Effect.PROBABLE if probable or verdict is Verdict.APPLIED else Effect.POSSIBLE
