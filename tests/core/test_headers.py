"""The headers of each request, and what each of them may hold."""

from __future__ import annotations

from tests.core.samples import SECRETS, settings
from vipps_async.config import SystemInfo
from vipps_async.core.headers import Headers


def test_the_secret_goes_to_the_token_endpoint_only() -> None:
    """Client id and secret are sent when fetching a token and nowhere else."""
    headers = Headers(settings())
    token = headers.for_token()
    assert (token["client_id"], token["client_secret"]) == (SECRETS["client_id"], SECRETS["client_secret"])
    call = headers.for_call(headers.with_token("t"), has_body=True, key=("X-Request-Id", "k"))
    assert not {SECRETS["client_id"], SECRETS["client_secret"]} & set(call.values())
    assert call["Authorization"] == "Bearer t"


def test_body_and_key_have_their_headers() -> None:
    """Only a request with a body tells its type, and only a keyed one has a request id."""
    headers = Headers(settings())
    shared = headers.with_token("t")
    assert "Content-Type" not in headers.for_call(shared, has_body=False, key=None)
    assert "X-Request-Id" not in headers.for_call(shared, has_body=True, key=None)
    assert headers.for_call(shared, has_body=True, key=("X-Request-Id", "k"))["X-Request-Id"] == "k"
    assert "X-Request-Id" not in shared


def test_what_calls_itself_a_system() -> None:
    """Each part of the system's name is sent if it is given, and left out if not."""
    everything = SystemInfo(name="shop", version="1", plugin_name="plug", plugin_version="2")
    shown = Headers(settings(system=everything)).for_token()
    assert [shown[f"Vipps-System-{part}"] for part in ("Name", "Version", "Plugin-Name", "Plugin-Version")] == [
        "shop",
        "1",
        "plug",
        "2",
    ]
    nothing = Headers(settings(system=SystemInfo(name=None, version=None))).for_token()
    assert not any(name.startswith("Vipps-System") for name in nothing)


def test_headers_are_handed_out_as_copies() -> None:
    """Whoever changes the headers of one request does not change those of the next."""
    headers = Headers(settings())
    headers.for_token()["client_secret"] = "changed"
    assert headers.for_token()["client_secret"] == SECRETS["client_secret"]
