"""A DynamoDB storage for the `limits` library, so that all instances of the function share their counts.

Importing this module registers the scheme `dynamodb://table`. The table's partition key is the string `id`, and its
time to live is on `delete_after`. boto3 finds region, credentials and endpoint in its usual way.
"""

import hmac
import time
from contextlib import suppress
from datetime import UTC, datetime
from math import ceil, floor, inf
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

from limits.errors import ConfigurationError
from limits.storage.base import SlidingWindowCounterSupport, Storage, TimestampedSlidingWindow

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# previous window: its hits, and the seconds for which they still count; then the same for the current window
SlidingWindow = tuple[int, float, int, float]

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 0.5, 1, 2  # botocore's default, a minute, is longer than the function has
KNOWN_WINDOWS = 10_000


class DynamoDBStorage(Storage, SlidingWindowCounterSupport, TimestampedSlidingWindow):
    """Counts hits in items of one table. One conditional write decides each hit. So no hit is lost or wrongly admitted,
    however many processes count at once.

    **Fixed window**: one call per hit. It takes a second call if this process did not know that the window had ended,
    or if another process opens the window at the same moment. A window begins with its first hit.

    **Sliding window counter**: two calls per hit, one to read the previous window and the conditional write. It assumes
    that the hits of the previous window were evenly spread. If they were, any span as long as a window holds at most
    the limit plus one, because fractions of a hit are not counted. The worst case is that all of them came at its last
    moment: then one more hit is admitted every length / limit seconds as the window slides, and such a span holds up to
    twice the limit. A late hit (a retry, a slow clock) may still be added to a window that others consider complete.

    **Expiry**: every read and every condition compares it, because DynamoDB may delete expired items days later.

    **Keys** are stored as HMAC-SHA256 with a salt that is made from `secret` and the day (UTC). Without the secret,
    nobody can tell which client an item counts. The default is the table's name, which is not secret. A fixed window
    ends at midnight (UTC) at the latest.
    """

    STORAGE_SCHEME = ["dynamodb"]  # noqa: RUF012  # the names and types that limits reads
    DEPENDENCIES = ["boto3", "botocore"]  # noqa: RUF012

    def __init__(self, uri: str, wrap_exceptions: bool = False, **options: Any) -> None:
        """
        :param uri: `dynamodb://table`; more options may follow after `?`
        :param wrap_exceptions: raise :exc:`limits.errors.StorageError` in place of boto3's errors
        :param options: `secret` for the stored keys; `region_name` and `endpoint_url` for boto3's client
        :raises ConfigurationError: if no table is named or an option is unknown
        """
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        parts = urlsplit(uri)
        options = options | dict(parse_qsl(parts.query))
        self._table = parts.netloc
        self._secret = str(options.pop("secret", self._table)).encode()
        self._ends: dict[str, float] = {}  # when known fixed windows end: tells which of two writes to try first
        unknown = options.keys() - {"region_name", "endpoint_url"}
        if not self._table or unknown:
            raise ConfigurationError(f"A DynamoDB storage is named dynamodb://table, without {sorted(unknown)}.")
        boto3, botocore = self.dependencies["boto3"].module, self.dependencies["botocore"].module
        self._errors: tuple[type[Exception], ...] = (
            botocore.exceptions.BotoCoreError,
            botocore.exceptions.ClientError,
        )
        self._client: DynamoDBClient = boto3.client(
            "dynamodb",
            config=botocore.config.Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            ),
            **options,
        )

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """The errors that a call to DynamoDB may raise."""
        return self._errors

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` to the counter and return the sum. The first hit begins a window of `expiry` seconds."""
        now = time.time()
        values = {":amount": _number(amount), ":now": _number(now)} | _end(now + expiry)
        # Exactly one of the two writes can succeed, unless another process begins the window in between.
        add = ("ADD hits :amount SET " + _END_ONCE, "attribute_not_exists(id) OR ends_at > :now")
        begin = ("SET hits = :amount, " + _END, "attribute_not_exists(id) OR ends_at <= :now")
        ended = self._ends.get(key, inf) <= now
        for write in (begin, add) if ended else (add, begin):
            with suppress(self._client.exceptions.ConditionalCheckFailedException):
                return self._count(key, now, values, write)
        return self._count(key, now, values, add)

    def _count(self, key: str, now: float, values: dict[str, Any], write: tuple[str, str]) -> int:
        item = self._update(self._id(key, now), *write, values)
        if len(self._ends) >= KNOWN_WINDOWS:
            self._ends.clear()
        self._ends[key] = float(item["ends_at"]["N"])
        return int(item["hits"]["N"])

    def get(self, key: str) -> int:
        """Return the counter, or 0 if its window has ended."""
        now = time.time()
        return self._read(self._id(key, now), now)[0]

    def get_expiry(self, key: str) -> float:
        """Return when the window ends, in seconds since the epoch, or the time now if there is no window."""
        now = time.time()
        return self._read(self._id(key, now), now)[1]

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add to the current window if it and the weighted previous one then stay within the limit.

        Return whether it was added.
        """
        return self.hit_sliding_window(key, limit, expiry, amount)[0]

    def hit_sliding_window(self, key: str, limit: int, expiry: int, amount: int = 1) -> tuple[bool, SlidingWindow]:
        """Do what `acquire_sliding_window_entry` does. Also return, without further calls, the result that
        `get_sliding_window` would give now.
        """
        now = time.time()
        (previous_id, current_id), current_start = self._sliding_ids(key, expiry, now)
        previous, _ = self._read(previous_id, now)
        weighted = floor(previous * (current_start + expiry - now) / expiry)
        room = limit - amount - weighted  # the most that the current window may hold before this hit
        if room < 0:
            current = self._read(current_id, now)[0]
            return False, _sliding_window(previous, current, current_start, expiry, now)
        try:
            item = self._update(
                current_id,
                "ADD hits :amount SET " + _END_ONCE,
                # Each window has an id of its own, so an expired item is never the current one.
                "attribute_not_exists(id) OR hits <= :room",
                # A window counts until the next one ends.
                {":amount": _number(amount), ":room": _number(room)} | _end(current_start + 2 * expiry),
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            admitted, item = False, cast(dict[str, Any], error.response)["Item"]
        else:
            admitted = True
        current = int(item["hits"]["N"])
        return admitted, _sliding_window(previous, current, current_start, expiry, now)

    def get_sliding_window(self, key: str, expiry: int) -> SlidingWindow:
        """Return the hits of the previous window and the seconds until they no longer count, then the same for the
        current window.
        """
        now = time.time()
        (previous_id, current_id), current_start = self._sliding_ids(key, expiry, now)
        previous, current = self._read(previous_id, now)[0], self._read(current_id, now)[0]
        return _sliding_window(previous, current, current_start, expiry, now)

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Delete the previous and the current window."""
        for item_id in self._sliding_ids(key, expiry, time.time())[0]:
            self._delete(item_id)

    def check(self) -> bool:
        """Return whether the table can be read."""
        try:
            self._read("check", time.time())
        except self._errors:
            return False
        return True

    def reset(self) -> int | None:
        """Delete every item and return how many there were. This needs permission for Scan and DeleteItem."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._table, ProjectionExpression="id")
        ids = [item["id"]["S"] for page in pages for item in page["Items"]]
        for item_id in ids:
            self._delete(item_id)
        self._ends.clear()
        return len(ids)

    def clear(self, key: str) -> None:
        """Delete the fixed window of this key."""
        self._ends.pop(key, None)
        self._delete(self._id(key, time.time()))

    def _id(self, key: str, at: float) -> str:
        day = datetime.fromtimestamp(at, UTC).date().isoformat()
        salt = hmac.digest(self._secret, day.encode(), "sha256")
        return hmac.digest(salt, key.encode(), "sha256").hex()

    def _sliding_ids(self, key: str, expiry: int, now: float) -> tuple[tuple[str, str], float]:
        """Return the ids of the previous and the current window, and when the current one began."""
        previous, current = self.sliding_window_keys(key, expiry, now)
        start = float(int(now / expiry) * expiry)
        return (self._id(previous, start - expiry), self._id(current, start)), start

    def _read(self, item_id: str, now: float) -> tuple[int, float]:
        """Return hits and end of a window, or 0 and now if it has ended."""
        item = self._client.get_item(TableName=self._table, Key={"id": {"S": item_id}}, ConsistentRead=True).get("Item")
        if not item or float(item["ends_at"]["N"]) <= now:
            return 0, now
        return int(item["hits"]["N"]), float(item["ends_at"]["N"])

    def _update(self, item_id: str, update: str, condition: str, values: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes after the write; raises ConditionalCheckFailedException with the old ones."""
        return self._client.update_item(
            TableName=self._table,
            Key={"id": {"S": item_id}},
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )["Attributes"]

    def _delete(self, item_id: str) -> None:
        self._client.delete_item(TableName=self._table, Key={"id": {"S": item_id}})


_END = "ends_at = :ends_at, delete_after = :delete_after"
_END_ONCE = "ends_at = if_not_exists(ends_at, :ends_at), delete_after = if_not_exists(delete_after, :delete_after)"


def _end(at: float) -> dict[str, Any]:
    return {":ends_at": _number(at), ":delete_after": _number(ceil(at))}  # time to live takes whole seconds


def _number(value: float) -> dict[str, str]:
    return {"N": str(value)}


def _sliding_window(previous: int, current: int, current_start: float, expiry: int, now: float) -> SlidingWindow:
    left = current_start + expiry - now
    return previous, left if previous else 0.0, current, left + expiry
