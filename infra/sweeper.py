"""Sweeps where there is no schedule that calls the function: on one machine and in a container."""

import logging
import threading
from datetime import UTC, datetime

from optimizer.config import Config
from optimizer.store import TempStore

MAX_SWEEP_SECONDS = 5 * 60.0  # as the schedule in template.yaml

log = logging.getLogger(__name__)


def sweep_seconds(retention_minutes: int) -> float:
    """Return how often to sweep: as the deployment does, more often when the retention is short."""
    return min(MAX_SWEEP_SECONDS, retention_minutes * 60 / 6)


def sweep_often(store: TempStore, config: Config, stop: threading.Event) -> None:
    """Sweep until `stop` is set. Several processes may: deleting what is gone is no error."""
    while not stop.wait(sweep_seconds(config.retention_minutes)):
        try:
            store.sweep(datetime.now(UTC))
        except Exception:  # the next sweep may succeed; the retention depends on there being one
            log.exception("the sweep failed")
