"""Sweeps where no schedule calls the function: on one machine and in a container."""

import logging
import threading
from datetime import UTC, datetime

from optimizer.config import Config
from optimizer.store import TempStore

MAX_SWEEP_SECONDS = 5 * 60.0  # the same as the schedule in template.yaml

log = logging.getLogger(__name__)


def sweep_seconds(retention_minutes: int) -> float:
    """Return the seconds between sweeps: those of the deployment, or fewer if the retention is short."""
    return min(MAX_SWEEP_SECONDS, retention_minutes * 60 / 6)


def sweep_often(store: TempStore, config: Config, stop: threading.Event) -> None:
    """Sweep until `stop` is set. Several processes may do so at once: deleting a missing object is no error."""
    while not stop.wait(sweep_seconds(config.retention_minutes)):
        try:
            store.sweep(datetime.now(UTC))
        except Exception:  # go on, since the next sweep may succeed and the retention depends on it
            log.exception("the sweep failed")
