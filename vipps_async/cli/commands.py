"""Commands on top of click: declared by options, parsed into one value, and run afterwards in the event loop."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, TypeAlias

import click

from vipps_async.cli.output import COLUMNS

#: What a command line says: an attribute for each option and argument of its command, beside `run`, `trust_env` and
#: what the command fixes itself.
Options: TypeAlias = SimpleNamespace
#: Carries a command out, and returns its exit status.
Run: TypeAlias = Callable[[Options], Coroutine[Any, Any, int]]
#: Wrong use: it ends a command with status 2, before or after it began.
UsageError = click.UsageError


class _Help(click.Command):
    """Help with examples behind the options."""

    examples: Sequence[str] = ()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """See `click.Command`."""
        if not self.examples:
            return
        with formatter.section("Examples"):
            for example in self.examples:
                line = f"{'':{formatter.current_indent}}vipps-async {example}"
                formatter.write(f"{_folded(line)}\n")


def _folded(line: str) -> str:
    """Fold a command line to `COLUMNS` so that it can be copied: by a backslash, between two arguments."""
    if len(line) <= COLUMNS:
        return line
    ends = [match.start() for match in re.finditer(r" (?=\S)", line) if not line[: match.start()].count('"') % 2]
    cut = max(end for end in ends if end <= COLUMNS - 2)
    rest = _folded(f"{'':6}{line[cut + 1 :]}")
    return f"{line[:cut]} \\\n{rest}"


class Command(_Help):
    """One command: its options and arguments, and what carries it out."""

    def __init__(
        self,
        name: str,
        run: Run,
        purpose: str,
        description: str = "",
        *,
        examples: Sequence[str] = (),
        check: Callable[[Options], None] | None = None,
        fixed: Mapping[str, object] | None = None,
    ) -> None:
        """Make a command without options.

        Args:
            name: what is typed.
            run: carries it out.
            purpose: one phrase for the list of commands.
            description: the text of its help; the purpose if empty.
            examples: command lines, without the program's name.
            check: refuses options that do not go together, by a `UsageError`.
            fixed: further attributes of its `Options`, by name.
        """
        description = description or f"{purpose[0].upper()}{purpose[1:]}."
        super().__init__(name, help=description, short_help=purpose)
        self.run, self.check, self.fixed, self.examples = run, check, fixed or {}, examples

    def option(self, *names: str, **attributes: Any) -> None:
        """Add an option; the attributes are `click.Option`'s."""
        if attributes.get("default") not in {None, False, ""} and not attributes.get("multiple"):
            attributes.setdefault("show_default", True)
        self.params.append(click.Option(names, **attributes))

    def flag(self, name: str, help: str) -> None:  # noqa: A002 - click's word
        """Add an option that is there or not."""
        self.option(name, is_flag=True, help=help)

    def argument(self, name: str, **attributes: Any) -> None:
        """Add an argument; the attributes are `click.Argument`'s."""
        self.params.append(click.Argument([name], **attributes))

    def defaults(self, **values: object) -> None:
        """Give options that it has another default."""
        for param in self.params:
            if param.name in values:
                param.default = values[param.name]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command`; an option whose value was forgotten does not take the next option for it.

        Else `--idempotency-key $KEY --json` with an empty variable would use the key `--json`, each time the same.
        """
        options = [param for param in self.params if isinstance(param, click.Option) and not param.is_flag]
        names = {name for option in options for name in option.opts}
        for given, following in itertools.pairwise(args[: args.index("--") + 1] if "--" in args else args):
            if given in names and following.startswith("--") and not ctx.resilient_parsing:
                text = f"Option {given!r} requires an argument; one that begins with -- is given as {given}=..."
                raise click.BadOptionUsage(given, text, ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Options:
        """Return what the command line says; `carried_out` runs it."""
        options = Options(**{**ctx.find_root().params, **ctx.params, **self.fixed}, run=self.run)
        if self.check is not None:
            try:
                self.check(options)
            except UsageError as error:
                error.ctx = ctx
                raise
        return options


class Group(_Help, click.Group):
    """A command that has actions."""

    def __init__(
        self,
        name: str,
        purpose: str,
        description: str,
        *,
        actions: Sequence[click.Command] = (),
        examples: Sequence[str] = (),
    ) -> None:
        """Make a group; see `Command`."""
        super().__init__(name, help=description, short_help=purpose, commands=actions, subcommand_metavar="ACTION ...")
        self.examples = examples

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """See `click.Group`; in the order in which they were given."""
        return list(self.commands)
