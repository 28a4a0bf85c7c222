"""The last response as it may be shown: status, some headers and the body, without secrets and personal data."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen(kw_only=True)
class LastAnswer:
    """The last response of Vipps, or of a gateway or proxy before it: for a log, or for Vipps' support."""

    status: int
    """The HTTP status."""
    headers: Mapping[str, str] = field(factory=dict)
    """Headers that say what was answered, by whom and when, their names in lower case: trace ids, `date`,
    `content-type`, `retry-after` and the like. Cookies, redirects and whatever is not known are left out."""
    body: str = ""
    """JSON, redacted, 2,000 characters at most; of any other body its kind and length. Empty for a token request."""

    @property
    def trace_ids(self) -> Mapping[str, str]:
        """The headers by which Vipps' support finds the request."""
        return {name: value for name, value in self.headers.items() if name.endswith(("-id", "traceparent"))}
