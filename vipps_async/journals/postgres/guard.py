"""A condition that a commit holds to: what a machine was given to do, and lost since, is written by it no more."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Guard"]


@frozen
class Guard:
    """Asked in the very transaction that writes, before anything else."""

    #: A query that gives a row as long as writing is allowed, and that locks what it depends on until the commit.
    statement: bytes
    values: tuple[object, ...]
    #: What the error says of a write that is not allowed any more.
    refusal: str
