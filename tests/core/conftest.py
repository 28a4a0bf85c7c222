"""Settings for the engine room's tests."""

from __future__ import annotations

from hypothesis import settings

# A slow machine is no defect of the code: these tests measure no real time.
settings.register_profile("calm", deadline=None)
settings.load_profile("calm")
