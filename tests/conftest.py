"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# On a machine that others use, too, how long an example takes tells nothing.
settings.register_profile("gpubox", deadline=None)
settings.load_profile("gpubox")
