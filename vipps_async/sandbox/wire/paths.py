"""Which path belongs to which operation: any case up to the id, with or without a slash at the end.

The vendor's quick start initiates at ``/ecomm/v2/payments/``; shops have called ``/Ecomm/v2`` for years.
"""

from __future__ import annotations

import re

__all__ = ["OPERATIONS", "route_path"]

_ORDER = "/ecomm/v2/payments/{order_id}"

#: Operation → method and path template.
OPERATIONS = {
    "token": ("POST", "/accesstoken/get"),
    "initiate": ("POST", "/ecomm/v2/payments"),
    "capture": ("POST", f"{_ORDER}/capture"),
    "cancel": ("PUT", f"{_ORDER}/cancel"),
    "refund": ("POST", f"{_ORDER}/refund"),
    "details": ("GET", f"{_ORDER}/details"),
    "status": ("GET", f"{_ORDER}/status"),
    "approve": ("POST", "/ecomm/v2/integration-test/payments/{order_id}/approve"),
    "userinfo": ("GET", "/vipps-userinfo-api/userinfo/{sub}"),
}


def route_path(template: str) -> str:
    """Return a template as aiohttp takes it: what stands before the id in any case, and a slash at the end or none."""
    head, brace, tail = template.partition("{")
    parts = "/".join(
        f"{{fixed_{number}:(?i:{re.escape(part)})}}" for number, part in enumerate(head.strip("/").split("/"))
    )
    return f"/{parts}{'/' if brace else ''}{brace}{tail}{{end:/?}}"
