"""What each of several processes does to one key. A module of its own, since they all wait for what it imports."""

from typing import Any
from unittest.mock import patch

from limits import RateLimitItemPerMinute
from limits.storage import storage_from_string
from limits.strategies import STRATEGIES
from time_machine import travel

from optimizer import dynamodb_storage

# In the future: what expired by the real clock, an emulator deletes in the middle of a test.
ON_THE_MINUTE = "2099-01-01 12:00:00Z"


def hammer(uri: str, key: str, barrier: Any, admitted: Any) -> None:
    """Hit a limit of 30 in a fixed window 20 times, with all others at once, and then one in a sliding window."""
    with patch.object(dynamodb_storage, "READ_SECONDS", 60):  # a hit that is tried again counts twice
        storage = storage_from_string(uri)
    with travel(ON_THE_MINUTE, tick=False):  # no window ends meanwhile
        for number, strategy in enumerate(("fixed-window", "sliding-window-counter")):
            limiter = STRATEGIES[strategy](storage)
            barrier.wait(timeout=60)
            hits = sum(limiter.hit(RateLimitItemPerMinute(30), key) for _ in range(20))
            with admitted.get_lock():
                admitted[number] += hits
