"""A client of Lift Wing, for the tests of several files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.lift_wing_client import Open
from transforms.lift_wing.client import LiftWingClient
from transforms.models.model import LiftWingSettings


@pytest.fixture
def opened(lift_wing: SimulatedLiftWing) -> Iterator[Open]:
    """Opens connections to the simulated Lift Wing, or elsewhere, and closes them at the end."""
    all_opened: list[LiftWingClient] = []

    def open_lift_wing(**settings: Any) -> LiftWingClient:
        all_opened.append(
            LiftWingClient(replace(LiftWingSettings(lift_wing.url, timeout_s=5, max_age_s=60), **settings))
        )
        return all_opened[-1]

    yield open_lift_wing
    for each in all_opened:
        each.close()
