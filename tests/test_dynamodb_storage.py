"""The contract of `limits` over memory, Redis and DynamoDB on two emulators; then what only DynamoDB promises."""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from math import ceil
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from typing import Any
from unittest.mock import ANY
from urllib.parse import urlencode
from uuid import uuid4

import boto3
import pytest
from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from limits.errors import ConfigurationError, StorageError
from limits.storage import RedisStorage, storage_from_string
from limits.strategies import STRATEGIES, FixedWindowRateLimiter, SlidingWindowCounterRateLimiter
from redis import Redis
from time_machine import travel

from infra.resources import create_table
from optimizer import dynamodb_storage
from optimizer.dynamodb_storage import READ_SECONDS, DynamoDBStorage
from optimizer.rate_limit import RequestStorage
from tests.emulators import moto
from tests.hammer import ON_THE_MINUTE, hammer

EMULATORS = ("moto", "ministack")
TABLE = "counters"
REGION = "us-east-1"
HOUR = 3_600
MINUTE = 60  # a Redis goes by a clock of its own: so long it may take from one line of a test to the next


@pytest.fixture(scope="session")
def moto_in_turn() -> Iterator[str]:
    """A moto that answers one request after the other: DynamoDB writes items atomically, moto's threads do not."""
    with moto(threaded=False) as address:
        yield address


@pytest.fixture(scope="session")
def uris(moto_in_turn: str, ministack_url: str, redis_url: str) -> dict[str, str]:
    addresses = {"moto": moto_in_turn, "ministack": ministack_url}
    for address in addresses.values():
        create_table(boto3.client("dynamodb", endpoint_url=address, region_name=REGION), TABLE)
    return {"memory": "memory://", "redis": redis_url} | {
        name: f"dynamodb://{TABLE}?" + urlencode({"endpoint_url": address, "region_name": REGION, "secret": "s3cret"})
        for name, address in addresses.items()
    }


@pytest.fixture(params=["memory", "redis", *EMULATORS])
def storage(request: pytest.FixtureRequest, uris: dict[str, str]) -> Any:
    storage = storage_from_string(uris[request.param])
    assert isinstance(storage, RequestStorage) == (request.param in EMULATORS)  # that of the app, outside of it
    return storage


@pytest.fixture(params=EMULATORS)
def uri(request: pytest.FixtureRequest, uris: dict[str, str]) -> str:
    return uris[request.param]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for an answer however busy the machine is: a hit that is tried again counts twice."""
    monkeypatch.setattr(dynamodb_storage, "READ_SECONDS", 60)


@pytest.fixture
def dynamodb(uri: str) -> Iterator[DynamoDBStorage]:
    storage = DynamoDBStorage(uri)
    storage.reset()
    yield storage
    storage.reset()


@pytest.fixture
def key() -> str:
    return uuid4().hex


@pytest.fixture
def shift(redis_url: str) -> Iterator[Callable[[float], None]]:
    """Stop the clock on the hour, and move it: that of this process, and of Redis what is left of all its keys."""
    with travel(ON_THE_MINUTE, tick=False) as clock, Redis.from_url(redis_url) as redis:

        def shift(seconds: float) -> None:
            clock.shift(seconds)
            for key in redis.scan_iter():
                redis.pexpire(key, ceil(redis.pttl(key) - seconds * 1_000))

        yield shift


class TestContract:
    """What every storage does. Only a Redis's clock goes on by itself, so windows are of an hour."""

    @pytest.fixture
    def late(self, storage: Any) -> float:
        """How many seconds a storage may have gone on while the clock stands still."""
        return MINUTE if isinstance(storage, RedisStorage) else 0.001

    def test_it_is_healthy(self, storage: Any) -> None:
        assert storage.check()

    def test_a_counter_grows_by_the_amount_until_its_window_ends(
        self, storage: Any, key: str, shift: Callable[[float], None]
    ) -> None:
        assert [storage.incr(key, HOUR), storage.incr(key, HOUR, amount=4), storage.get(key)] == [1, 5, 5]
        shift(HOUR - MINUTE)
        assert storage.get(key) == 5
        shift(MINUTE)
        assert storage.get(key) == 0
        assert storage.incr(key, HOUR) == 1

    def test_the_window_begins_with_the_first_hit_and_is_not_prolonged(
        self, storage: Any, key: str, shift: Callable[[float], None], late: float
    ) -> None:
        ends = pytest.approx(time.time() + HOUR, abs=late)

        storage.incr(key, HOUR)
        assert storage.get_expiry(key) == ends
        shift(HOUR / 2)
        storage.incr(key, HOUR)
        assert storage.get_expiry(key) == ends

    @pytest.mark.usefixtures("shift")
    def test_what_nobody_hit_counts_nothing_and_ends_now(self, storage: Any, key: str) -> None:
        assert storage.get(key) == 0
        assert storage.get_expiry(key) == time.time()

    @pytest.mark.usefixtures("shift")
    def test_a_cleared_counter_begins_anew_and_no_other_does(self, storage: Any, key: str) -> None:
        storage.incr(key, HOUR)
        storage.incr(key + "x", HOUR)
        storage.clear(key)

        assert (storage.get(key), storage.get(key + "x")) == (0, 1)
        assert storage.incr(key, HOUR) == 1

    @pytest.mark.usefixtures("shift")
    @pytest.mark.parametrize("strategy", ["fixed-window", "sliding-window-counter"])
    def test_a_limiter_admits_just_the_limit_and_tells_what_is_left(
        self, storage: Any, key: str, strategy: str
    ) -> None:
        limiter, limit = STRATEGIES[strategy](storage), RateLimitItemPerHour(5)

        left = []
        for _ in range(5):
            assert limiter.test(limit, key)
            assert limiter.hit(limit, key)
            left.append(limiter.get_window_stats(limit, key).remaining)

        assert left == [4, 3, 2, 1, 0]
        assert not limiter.test(limit, key)
        assert not limiter.hit(limit, key)
        limiter.clear(limit, key)
        assert limiter.get_window_stats(limit, key).remaining == 5

    @pytest.mark.usefixtures("shift")
    def test_a_hit_of_several_needs_room_for_all(self, storage: Any, key: str) -> None:
        limiter, limit = SlidingWindowCounterRateLimiter(storage), RateLimitItemPerHour(5)

        hits = [limiter.hit(limit, key, cost=cost) for cost in (6, 3, 3, 2)]

        assert hits == [False, True, False, True]

    def test_the_previous_window_counts_as_far_as_it_reaches_into_the_span(
        self, storage: Any, key: str, shift: Callable[[float], None], late: float
    ) -> None:
        limiter, limit = SlidingWindowCounterRateLimiter(storage), RateLimitItemPerHour(4)
        filled = [limiter.hit(limit, key) for _ in range(5)]
        shift(HOUR * 1.5 + MINUTE)  # less than half of it reaches into the span, and one hit is only counted in part

        previous, left, current, _ = storage.get_sliding_window(limit.key_for(key), HOUR)
        admitted = [limiter.hit(limit, key) for _ in range(4)]

        assert filled == [True] * 4 + [False]
        assert (previous, current) == (4, 0)
        assert left == pytest.approx(HOUR / 2 - MINUTE, abs=late)
        assert admitted == [True] * 3 + [False]


class TestCalls:
    """How many calls a hit costs, counted where botocore sends them."""

    @pytest.fixture
    def calls(self, dynamodb: DynamoDBStorage) -> list[str]:
        names: list[str] = []
        dynamodb._client.meta.events.register(
            "before-send.dynamodb.*", lambda event_name, **_: names.append(event_name)
        )
        return names

    def test_a_fixed_window_costs_one_call_a_hit_also_when_a_new_window_begins(
        self, dynamodb: DynamoDBStorage, key: str, calls: list[str]
    ) -> None:
        with travel(ON_THE_MINUTE, tick=False) as clock:
            counts = [dynamodb.incr(key, 60)]
            counts += [dynamodb.incr(key, 60)]
            clock.shift(61)
            counts += [dynamodb.incr(key, 60), dynamodb.incr(key, 60)]

        assert counts == [1, 2, 1, 2]
        assert len(calls) == 4

    def test_a_window_that_ended_unseen_costs_a_second_call(self, uri: str, key: str, dynamodb: DynamoDBStorage,
                                                            calls: list[str]) -> None:  # fmt: skip
        with travel(ON_THE_MINUTE, tick=False) as clock:
            DynamoDBStorage(uri).incr(key, 60)
            clock.shift(61)

            assert dynamodb.incr(key, 60) == 1
        assert len(calls) == 2

    def test_a_hit_that_the_previous_window_refuses_costs_two_calls_as_well(
        self, dynamodb: DynamoDBStorage, key: str, calls: list[str]
    ) -> None:
        with travel(ON_THE_MINUTE, tick=False) as clock:
            dynamodb.acquire_sliding_window_entry(key, 5, 60, amount=5)
            clock.shift(60)
            calls.clear()

            assert dynamodb.hit_sliding_window(key, 5, 60) == (False, (5, 60.0, 0, 120.0))
        assert len(calls) == 2

    def test_more_than_the_limit_at_once_is_refused(self, dynamodb: DynamoDBStorage, key: str) -> None:
        assert not dynamodb.acquire_sliding_window_entry(key, 5, 60, amount=6)

    def test_a_window_that_another_process_begins_meanwhile_is_joined(
        self, uri: str, dynamodb: DynamoDBStorage, key: str, calls: list[str]
    ) -> None:
        other = DynamoDBStorage(uri)

        def overtake(**_: Any) -> None:
            if len(calls) == 1:
                other.incr(key, 60)

        with travel(ON_THE_MINUTE, tick=False) as clock:
            other.incr(key, 60)
            clock.shift(61)
            dynamodb._client.meta.events.register("before-call.dynamodb.UpdateItem", overtake)

            assert dynamodb.incr(key, 60) == 2
        assert len(calls) == 3

    @pytest.mark.parametrize("hits", [1, 5, 8], ids=["first", "last admitted", "refused"])
    def test_a_sliding_window_costs_two_calls_a_hit(
        self, dynamodb: DynamoDBStorage, key: str, calls: list[str], hits: int
    ) -> None:
        with travel(ON_THE_MINUTE, tick=False):
            admitted = [dynamodb.acquire_sliding_window_entry(key, 5, 60) for _ in range(hits)]

        assert sum(admitted) == min(hits, 5)
        assert len(calls) == 2 * hits

    def test_a_hit_returns_what_a_reading_would(self, dynamodb: DynamoDBStorage, key: str) -> None:
        with travel(ON_THE_MINUTE, tick=False) as clock:
            for seconds in (0, 10, 50, 10, 1, 40, 0):
                clock.shift(seconds)
                _, seen = dynamodb.hit_sliding_window(key, 3, 60)

                assert seen == dynamodb.get_sliding_window(key, 60)


@pytest.mark.parametrize("uri", ["ministack"], indirect=True)  # one does: what is tried is our arithmetic
class TestSliding:
    """The window slides; on a clock that the test moves."""

    @pytest.fixture
    def hit(self, dynamodb: DynamoDBStorage, key: str) -> Callable[[], bool]:
        return lambda: dynamodb.acquire_sliding_window_entry(key, 10, 20)

    @pytest.mark.parametrize("phase", [0.1, 1.0, 1.9])
    def test_ten_spread_evenly_are_admitted_in_every_span_and_at_most_one_more(
        self, hit: Callable[[], bool], phase: float
    ) -> None:
        admitted = []
        with travel(f"2099-01-01 12:00:0{phase}Z", tick=False) as clock:
            for _ in range(25 * 2):  # twice as often as allowed
                admitted.append(hit())
                clock.shift(1)

        steady = admitted[20:]  # the burst that everybody has is over
        spans = [sum(steady[start : start + 20]) for start in range(len(steady) - 19)]
        assert min(spans) >= 9
        assert max(spans) <= 11

    def test_a_burst_at_the_end_of_a_window_lets_one_through_every_two_seconds(self, hit: Callable[[], bool]) -> None:
        with travel("2099-01-01 12:00:19.9Z", tick=False) as clock:
            burst = [hit() for _ in range(11)]
            clock.shift(0.1)
            after = []
            for _ in range(20):  # once a second, for just under a span
                after.append(hit())
                clock.shift(1)

        assert sum(burst) == 10
        for seconds in range(1, 20):
            assert sum(after[:seconds]) <= seconds / 2 + 1
        assert sum(burst) + sum(after) == 20  # the bound that the class states

    def test_a_span_without_hits_frees_everything(self, hit: Callable[[], bool]) -> None:
        with travel("2099-01-01 12:00:10Z", tick=False) as clock:
            assert sum(hit() for _ in range(11)) == 10
            clock.shift(30)
            assert sum(hit() for _ in range(11)) == 10

    def test_midnight_forgets_nothing(self, hit: Callable[[], bool]) -> None:
        with travel("2099-01-01 23:59:59Z", tick=False) as clock:
            assert sum(hit() for _ in range(11)) == 10
            clock.shift(2)
            assert sum(hit() for _ in range(11)) == 1


@pytest.fixture(scope="session")
def fork_server() -> ForkServerContext:
    """What starts processes; it lives as long as this one, and so does its folder, which it removes itself."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([hammer.__module__])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "tempdir", os.environ["PYTEST_DEBUG_TEMPROOT"])
        ensure_running()
    return server


@pytest.mark.parametrize("uri", ["ministack"], indirect=True)  # moto would answer them one after the other
def test_eight_processes_on_one_key_are_admitted_just_the_limit(
    uri: str, key: str, fork_server: ForkServerContext
) -> None:
    barrier, admitted = fork_server.Barrier(8), fork_server.Array("i", 2)
    processes = [fork_server.Process(target=hammer, args=(uri, key, barrier, admitted)) for _ in range(8)]

    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)

    assert [process.exitcode for process in processes] == [0] * 8
    assert admitted[:] == [30, 30]


def test_an_expired_item_that_is_still_stored_never_counts(dynamodb: DynamoDBStorage, key: str) -> None:
    with travel(ON_THE_MINUTE, tick=False) as clock:
        dynamodb.incr(key, 60, amount=7)
        dynamodb.acquire_sliding_window_entry(key, 30, 60, amount=30)
        clock.shift(120)

        assert items(dynamodb) == [ANY, ANY]
        assert (dynamodb.get(key), dynamodb.get_expiry(key)) == (0, time.time())
        assert dynamodb.get_sliding_window(key, 60)[::2] == (0, 0)
        assert DynamoDBStorage(f"dynamodb://{TABLE}", **options(dynamodb)).incr(key, 60) == 1
        assert dynamodb.acquire_sliding_window_entry(key, 30, 60, amount=30)


def test_items_expire_by_the_attribute_that_the_table_deletes_by(dynamodb: DynamoDBStorage, key: str) -> None:
    with travel("2099-01-01 12:00:00.5Z", tick=False):
        dynamodb.incr(key, 60)
        dynamodb.acquire_sliding_window_entry(key, 30, 60)
        now = int(time.time())

        ends = sorted(int(item["delete_after"]["N"]) for item in items(dynamodb))

    time_to_live = dynamodb._client.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"]
    assert ends == [now + 61, now + 120]
    assert (time_to_live["AttributeName"], time_to_live["TimeToLiveStatus"]) == ("delete_after", "ENABLED")


def test_stored_keys_reveal_no_address_and_change_every_day_and_with_the_secret(dynamodb: DynamoDBStorage) -> None:
    address = "203.0.113.9"
    with travel("2099-01-01 12:00Z", tick=False) as clock:
        dynamodb.incr(address, 60)
        dynamodb.acquire_sliding_window_entry(address, 30, 60)
        clock.move_to(datetime(2099, 1, 2, 12, tzinfo=UTC))
        dynamodb.incr(address, 60)
        DynamoDBStorage(f"dynamodb://{TABLE}?secret=other", **options(dynamodb)).incr(address, 60)

    stored = items(dynamodb)
    assert len({item["id"]["S"] for item in stored}) == 4
    assert address not in str(stored)


def test_reset_deletes_every_item(dynamodb: DynamoDBStorage, key: str) -> None:
    for n in range(3):
        dynamodb.incr(f"{key}{n}", 60)

    assert dynamodb.reset() == 3
    assert dynamodb.get(f"{key}0") == 0


def test_a_table_that_is_missing_or_unreachable_is_unhealthy_and_raises_what_limits_expects(uri: str) -> None:
    missing = DynamoDBStorage(uri.replace(TABLE, "no-such-table"), wrap_exceptions=True)
    unreachable = DynamoDBStorage(f"dynamodb://{TABLE}", endpoint_url="http://127.0.0.1:9", region_name=REGION)

    assert not missing.check()
    assert not unreachable.check()
    with pytest.raises(StorageError):
        FixedWindowRateLimiter(missing).hit(RateLimitItemPerMinute(1))
    with pytest.raises(unreachable.base_exceptions):
        SlidingWindowCounterRateLimiter(unreachable).hit(RateLimitItemPerMinute(1))


def test_a_call_gives_up_before_the_function_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamodb_storage, "READ_SECONDS", READ_SECONDS)
    config: Any = DynamoDBStorage("dynamodb://table", region_name=REGION)._client.meta.config

    assert (config.connect_timeout, config.read_timeout) == (0.5, 1)
    assert config.retries == {"mode": "standard", "total_max_attempts": 2}


@pytest.mark.parametrize("uri", ["dynamodb://", "dynamodb://?secret=x", "dynamodb://table?sekret=x"])
def test_a_name_that_cannot_be_meant_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="dynamodb://table"):
        storage_from_string(uri)


def test_the_memory_of_windows_is_bounded(dynamodb: DynamoDBStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.dynamodb_storage.KNOWN_WINDOWS", 3)

    for n in range(5):
        dynamodb.incr(str(n), 60)

    assert len(dynamodb._ends) == 2


def items(storage: DynamoDBStorage) -> list[Any]:
    return storage._client.scan(TableName=TABLE)["Items"]


def options(storage: DynamoDBStorage) -> dict[str, Any]:
    return {"endpoint_url": storage._client.meta.endpoint_url, "region_name": REGION}
