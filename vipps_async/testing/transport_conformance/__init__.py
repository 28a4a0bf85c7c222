"""The contract of a transport as a test suite, for ours and for yours (extra ``testing``).

Usage::

    class TestMyTransport(TransportConformance):
        @pytest_asyncio.fixture
        async def make_transport(self) -> AsyncIterator[MakeTransport]:
            ...

"Bring your own transport" in the documentation has the whole example.
"""

from vipps_async.extras import missing_extra

try:
    from vipps_async.testing.transport_conformance.cases import CASES, Case, Verdict
    from vipps_async.testing.transport_conformance.make_transport import MakeTransport
    from vipps_async.testing.transport_conformance.suite import TransportConformance
except ModuleNotFoundError as _error:
    raise missing_extra("vipps_async.testing.transport_conformance", "testing", _error) from _error

__all__ = ["CASES", "Case", "MakeTransport", "TransportConformance", "Verdict"]
