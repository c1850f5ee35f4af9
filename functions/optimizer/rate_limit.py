"""Who a client is, and how many requests it may make."""

import time
from ipaddress import IPv6Address, ip_address

from flask import request
from flask_limiter import Limiter
from limits import RateLimitItem

from optimizer.config import Config
from optimizer.problems import UnknownClient


def create_limiter(config: Config) -> Limiter:
    """Return the limiter. Its window moves, so that no span of a minute lets through more than the limit."""
    return Limiter(
        key_func=client_key,
        storage_uri=config.ratelimit_storage_uri,
        strategy="moving-window",
    )


def client_key() -> str:
    """Return the address that a client cannot choose: an IPv4 address, or the /64 network of an IPv6 one.

    Under API Gateway that is `sourceIp`; aws-wsgi takes REMOTE_ADDR from X-Forwarded-For, which the client writes.
    Raises UnknownClient when the gateway names none.
    """
    event = request.environ.get("awsgi.event")
    address = request.remote_addr if event is None else _source_ip(event)
    try:
        ip = ip_address(address or "")
    except ValueError as error:
        raise UnknownClient("The gateway did not say where this request comes from. Call the API directly.") from error
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))
    return str(ip)


def _source_ip(event: dict[str, object]) -> str | None:
    context = event.get("requestContext")
    identity = context.get("identity") if isinstance(context, dict) else None
    address = identity.get("sourceIp") if isinstance(identity, dict) else None
    return address if isinstance(address, str) else None


def quota_headers(limiter: Limiter) -> dict[str, str]:
    """Return RateLimit-Limit, -Remaining and -Reset (seconds) for a counted request, nothing for any other."""
    current = limiter.current_limit
    if current is None:
        return {}
    item: RateLimitItem = current.limit
    reset_at, remaining = current.window
    seconds = max(1, int(reset_at - time.time()) + 1)  # at the very end of the window it still counts
    headers = {
        "RateLimit-Limit": str(item.amount),
        "RateLimit-Remaining": str(remaining),
        "RateLimit-Reset": str(seconds),
    }
    return headers | ({"Retry-After": str(seconds)} if current.breached else {})
