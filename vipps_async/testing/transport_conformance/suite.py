"""The whole suite in one class, to inherit from."""

from __future__ import annotations

import pytest

from vipps_async.testing.transport_conformance.exchanges import Exchanges
from vipps_async.testing.transport_conformance.failures import FailureCases
from vipps_async.testing.transport_conformance.lifetimes import Lifetimes


@pytest.mark.asyncio
class TransportConformance(FailureCases, Exchanges, Lifetimes):
    """What any transport must get right, as tests over real sockets on loopback.

    Inherit from it and give it a fixture `make_transport`, which returns a `MakeTransport` and closes what was made.
    Where your transport cannot do what a keyword asks for (a proxy, say), call `pytest.skip` there.
    """
