"""What a version must have before it is released, by changelog, pyproject.toml, SECURITY.md and tags."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

#: A version as it is tagged: three numbers, and what it is before its release.
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?")
#: What pyproject.toml names under `[project.urls]`, for whoever finds the package in an index.
URLS = ("Repository", "Changelog", "Security")


def _order(version: str) -> tuple[int, int, int, str, int] | None:
    found = _VERSION.fullmatch(version)
    # A release stands behind all that came before it: "~" is after each letter.
    return found and (int(found[1]), int(found[2]), int(found[3]), found[4] or "~", int(found[5] or 0))


def compared_with(version: str, tags: Iterable[str]) -> str | None:
    """Return the tag of the last release before a version: never its own, and none of a version before its release."""
    own = _order(version)
    earlier = [(order, tag) for tag in tags if (order := _order(tag)) and order[3] == "~" and own and order < own]
    return max(earlier)[1] if earlier else None


def may_break(version: str, tag: str) -> bool:
    """Whether a version may break programs of another one: with a new major number, before 1.0 with a new minor one."""
    new, old = _order(version), _order(tag)
    if new is None or old is None:
        return False
    return new[0] != old[0] or (not new[0] and new[1] != old[1])


def note_of(changelog: str, version: str) -> tuple[str, str]:
    """Return the heading of the newest section of a changelog, and its text, which must be about the version.

    Raises:
        ValueError: it is about another version, or empty.
    """
    head, _, text = changelog.partition("\n## ")[2].partition("\n")
    text = text.partition("\n## ")[0].strip()
    if not head.startswith(f"{version} ") or not text:
        raise ValueError(f"the changelog's newest section is about {head!r}, the package's version is {version}")
    return head, f"{text}\n"


def missing(version: str, head: str, project: Mapping[str, Any], security: str) -> list[str]:
    """List what keeps a version from being tagged: it is not dated, or nobody is told where it lives.

    Args:
        version: of the package.
        head: of the changelog's newest section.
        project: what pyproject.toml has.
        security: SECURITY.md.
    """
    found = []
    if not re.fullmatch(re.escape(version) + r" \(\d{4}-\d\d-\d\d\)", head):
        found.append(f"CHANGELOG.md: the heading is {head!r}: put the date there, as {version} (2026-01-31)")
    urls = project["project"].get("urls", {})
    lacking = [name for name in URLS if not str(urls.get(name, "")).startswith("https://")]
    if lacking:
        found.append(f"pyproject.toml: [project.urls] names no https address as {', '.join(lacking)}")
    elif urls["Security"] not in security:
        found.append(f"SECURITY.md: it does not name {urls['Security']}, where a hole is told")
    return found


def main() -> int:
    """Write the release note, print the tag to compare with and whether it may be broken, and say what is missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("version")
    parser.add_argument("note", type=Path)
    parser.add_argument("--tag", help="the tag that is made of it: then nothing may be missing")
    options = parser.parse_args()
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))
    head, note = note_of(Path("CHANGELOG.md").read_text("utf-8"), options.version)
    options.note.write_text(note, encoding="utf-8")
    found = missing(options.version, head, project, Path("SECURITY.md").read_text("utf-8"))
    if options.tag and options.tag != f"v{options.version}":
        found.append(f"the tag is {options.tag}, and the package's version {options.version}")
    for each in found:
        print(f"{'missing' if options.tag else 'missing before the tag'}: {each}", file=sys.stderr)
    tags = subprocess.run(["git", "tag", "--list", "v*"], check=True, capture_output=True, text=True)  # noqa: S607
    if tag := compared_with(options.version, tags.stdout.split()):
        print(tag, "may-break" if may_break(options.version, tag) else "")
    return 1 if found and options.tag else 0


if __name__ == "__main__":
    raise SystemExit(main())
