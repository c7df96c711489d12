"""One client of Lift Wing for all users in a process."""

from __future__ import annotations

import threading

from transforms.environment import REAL, Environment
from transforms.lift_wing.client import LiftWingClient
from transforms.models.model import LiftWingSettings


class SharedClient:
    """The one client of this process for given settings: opened by the first user, closed by the last."""

    _open: dict[tuple[LiftWingSettings, Environment], tuple[LiftWingClient, int]] = {}
    _lock = threading.Lock()

    @classmethod
    def acquire(cls, settings: LiftWingSettings, environment: Environment = REAL) -> LiftWingClient:
        with cls._lock:
            lift_wing, users = cls._open.get((settings, environment)) or (
                LiftWingClient(settings, environment),
                0,
            )
            cls._open[settings, environment] = (lift_wing, users + 1)
            return lift_wing

    @classmethod
    def release(cls, settings: LiftWingSettings, environment: Environment = REAL) -> None:
        with cls._lock:
            lift_wing, users = cls._open.pop((settings, environment))
            if users > 1:
                cls._open[settings, environment] = (lift_wing, users - 1)
            else:
                lift_wing.close()
