"""The frame of every page: head, banner, navigation, the headers that keep it safe, and the files it is made with."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib import resources

from aiohttp import web

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.pages.markup import Html, Part, joined, tag
from vipps_async.sandbox.wire.refusals import gateway_refusal

__all__ = ["ASSETS_PATH", "Frame", "assets_routes", "bare_kroner", "kroner", "moment", "page_answer"]

ASSETS_PATH = "/sandbox/pages"
_ASSETS = {
    "icon.svg": "image/svg+xml",
    "style.css": "text/css",
    "live.js": "text/javascript",
    "waiting.js": "text/javascript",
}

#: Nothing inline, nothing from elsewhere, no frames.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: The app's and the landing page's: the URL holds a secret. `form-action` stays open, since browsers hold it against
#: the redirect to the merchant's own page, too.
_LANDING_HEADERS = {**_HEADERS, "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
#: The dashboard's. Without a referrer browsers would call the origin of a form "null".
_DASHBOARD_HEADERS = {
    **_HEADERS,
    "Content-Security-Policy": f"{_POLICY}; form-action 'self'",
    "Referrer-Policy": "same-origin",
}

#: Path → what the navigation calls it.
_NAVIGATION = {"/": "Payments", "/sandbox/requests": "Requests", "/sandbox/switches": "Faults and clock"}


def kroner(oere: int) -> str:
    """Write an amount in øre as NOK."""
    return f"{bare_kroner(oere)} NOK"


def bare_kroner(oere: int) -> str:
    """Write an amount in øre as NOK, where the unit stands elsewhere."""
    return f"{oere // 100:,}.{oere % 100:02d}".replace(",", "\u00a0")


def moment(time: datetime, *, today: datetime | None = None) -> Html:
    """Write a time of the sandbox's clock, to the second; without the date if it is that of `today`."""
    text = time.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
    shown = text[11:] if today is not None and today.date() == time.date() else text
    return tag("time", shown, datetime=f"{text.replace(' ', 'T')}Z", title=f"{text} UTC")


def page_answer(
    title: str, *content: Part, status: int = 200, scripts: tuple[str, ...] = (), landing: bool = False, **body: str
) -> web.Response:
    """Return a whole page.

    Args:
        title: what the window is called.
        content: what stands in the body.
        status: the HTTP status.
        scripts: files among the assets.
        landing: whether it is a page that the shop's customer sees, with a secret in its URL.
        body: attributes of the body.
    """
    html = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", f"{title} · payment sandbox"),
            tag("link", rel="icon", href=f"{ASSETS_PATH}/icon.svg", type="image/svg+xml"),
            tag("link", rel="stylesheet", href=f"{ASSETS_PATH}/style.css"),
            [tag("script", src=f"{ASSETS_PATH}/{name}", defer=True) for name in scripts],
        ),
        tag("body", *content, **body),
        lang="en",
    )
    return web.Response(
        status=status,
        text=f"<!doctype html>{html.markup}",
        content_type="text/html",
        headers=_LANDING_HEADERS if landing else _DASHBOARD_HEADERS,
    )


class Frame:
    """Puts the dashboard's pages into their frame.

    Args:
        clock: the sandbox's clock, which every page shows.
        open_to: the address that others reach the sandbox at; empty if none but this machine does.
    """

    def __init__(self, clock: SandboxClock, open_to: str) -> None:
        self._clock = clock
        self._open_to = open_to

    def page(self, title: str, *content: Part, here: str = "", status: int = 200) -> web.Response:
        """Return a page of the dashboard; `here` is the path of the entry of the navigation that it belongs to."""
        return page_answer(
            title,
            tag("a", "Skip to the content", class_="skip", href="#content"),
            self._warning(),
            tag(
                "header",
                tag(
                    "a", tag("span", "", class_="mark", aria_hidden="true"), "Payment sandbox", class_="name", href="/"
                ),
                tag(
                    "nav",
                    [
                        tag("a", name, href=path, aria_current="page" if path == here else None)
                        for path, name in _NAVIGATION.items()
                    ],
                    aria_label="Main",
                ),
                tag("p", "Clock ", moment(self._clock.now()), " UTC", class_="clock", id="clock", data_live=True),
                class_="top",
            ),
            tag("p", "", class_="live", id="announcements", role="status"),
            tag("main", *content, id="content", tabindex="-1"),
            tag("footer", tag("p", "No real money moves here. All people and cards are invented.")),
            scripts=("live.js",),
            status=status,
        )

    def _warning(self) -> Html:
        if not self._open_to:
            return joined()
        return tag(
            "aside",
            tag("strong", "Open to others. "),
            f"This sandbox listens on {self._open_to}: anyone who reaches this machine can use it and see all of it.",
            class_="warning",
            aria_label="Warning",
        )


def assets_routes() -> list[web.RouteDef]:
    """Return the route of the style and the scripts."""
    return [web.get(f"{ASSETS_PATH}/{{name}}", _asset, allow_head=False)]


async def _asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in _ASSETS:
        raise gateway_refusal(404, "There is no such file.")
    headers = {**_HEADERS, "Cache-Control": "no-cache"}
    return web.Response(body=_read_asset(name), content_type=_ASSETS[name], charset="utf-8", headers=headers)


@cache
def _read_asset(name: str) -> bytes:
    return resources.files("vipps_async.sandbox").joinpath("pages", name).read_bytes()
