"""What is refused before any I/O, whichever transport it is given to."""

from __future__ import annotations

import ssl
import warnings

import aiohttp
import httpx
import pytest

from vipps_async import AiohttpTransport, ConfigurationError, HttpxTransport, Request
from vipps_async.testing.transport_conformance.certificates import client_context, server_context
from vipps_async.testing.transport_conformance.raw_server import Connection, raw_server

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.MINIMUM_SUPPORTED)
NEW = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.MAXIMUM_SUPPORTED)


def _context(least: ssl.TLSVersion, *, level: int = 0) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = least
    context.set_ciphers(f"DEFAULT:@SECLEVEL={level}")
    return context


async def _answer(connection: Connection) -> None:
    await connection.answer()


@pytest.mark.parametrize("least", OLD)
async def test_an_old_tls_is_refused(least: ssl.TLSVersion) -> None:
    """A context that would take TLS 1.0 or 1.1 is refused, handed in by itself or with what is adopted."""
    context = _context(least)
    with pytest.raises(ConfigurationError, match=r"before TLS 1\.2.*minimum_version = ssl\.TLSVersion\.TLSv1_2"):
        AiohttpTransport(ssl_context=context)
    with pytest.raises(ConfigurationError, match=r"before TLS 1\.2"):
        HttpxTransport(ssl_context=context)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        with pytest.raises(ConfigurationError, match=r"before TLS 1\.2"):
            AiohttpTransport(session)
    async with httpx.AsyncClient(verify=context) as client:
        with pytest.raises(ConfigurationError, match=r"before TLS 1\.2"):
            HttpxTransport(client)


@pytest.mark.parametrize("least", NEW)
@pytest.mark.parametrize("transport", [AiohttpTransport, HttpxTransport])
async def test_a_new_tls_is_taken(least: ssl.TLSVersion, transport: type[AiohttpTransport | HttpxTransport]) -> None:
    """With a context of TLS 1.2 or newer a server that speaks nothing newer than its least version is reached."""
    trusting, serving = client_context(), server_context("127.0.0.1")
    trusting.minimum_version = serving.maximum_version = least
    async with raw_server(_answer, tls=serving) as server:
        sending = transport(ssl_context=trusting)
        try:
            response = await sending.send(Request(method="GET", url=f"https://127.0.0.1:{server.port}", headers={}))
        finally:
            await sending.aclose()
        assert response.status == 200
        assert len(server.requests) == 1


@pytest.mark.skipif(ssl.OPENSSL_VERSION_INFO < (3, 0), reason="before OpenSSL 3 a security level allows old versions")
async def test_what_openssl_allows_no_old_version_is_taken() -> None:
    """A default context names no version where Python leaves that to OpenSSL; its security level keeps old ones out."""
    AiohttpTransport(ssl_context=_context(ssl.TLSVersion.MINIMUM_SUPPORTED, level=1))
    HttpxTransport(ssl_context=_context(ssl.TLSVersion.MINIMUM_SUPPORTED, level=1))
    with pytest.raises(ConfigurationError, match=r"before TLS 1\.2"):
        AiohttpTransport(ssl_context=_context(ssl.TLSVersion.TLSv1_1, level=1))


async def test_old_versions_that_are_off_bit_by_bit() -> None:
    """A context that is told of each old version not to take it is as good."""
    context = _context(ssl.TLSVersion.MINIMUM_SUPPORTED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.options |= ssl.OP_NO_SSLv3 | ssl.OP_NO_TLSv1
        with pytest.raises(ConfigurationError):
            AiohttpTransport(ssl_context=context)
        context.options |= ssl.OP_NO_TLSv1_1
    AiohttpTransport(ssl_context=context)
