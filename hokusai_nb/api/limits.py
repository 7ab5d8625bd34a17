"""How many requests a key may make, and how many wrong keys an address may send."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limits import RateLimitItem, parse_many
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter, RateLimiter

from hokusai_nb.errors import HokusaiError, MissingExtraError
from hokusai_nb.log import logger

if TYPE_CHECKING:
    from pydantic import SecretStr

__all__ = ["Allowance", "Limiter", "Rate", "parse_rate"]

_MEMORY = "memory://"
_REDIS_SECONDS = 1.0
_WARN_SECONDS = 60.0


@dataclass(frozen=True)
class Rate:
    """So many requests in so many seconds.

    Attributes:
        name: What is counted, such as ``key``.
        item: The limit as the library knows it.
    """

    name: str
    item: RateLimitItem

    @property
    def policy(self) -> str:
        """The header ``RateLimit-Policy``."""
        return f'"{self.name}";q={self.item.amount};w={self.item.get_expiry()}'


@dataclass(frozen=True)
class Allowance:
    """What is left of a rate.

    Attributes:
        granted: Whether this request may be made.
        remaining: Requests that may still be made.
        seconds: Until more may be made.
    """

    granted: bool
    remaining: int
    seconds: int

    def headers(self, rate: Rate) -> dict[str, str]:
        """Return it as the headers that a client can pace itself by."""
        return {"RateLimit-Policy": rate.policy, "RateLimit": f'"{rate.name}";r={self.remaining};t={self.seconds}'}


def parse_rate(name: str, text: str) -> Rate:
    """Return the rate that a text such as ``600/minute`` or ``10 per 2 seconds`` means.

    Raises:
        HokusaiError: It means none.
    """
    try:
        (item,) = parse_many(text)
    except ValueError:
        msg = f"The rate limit {text!r} cannot be read."
        raise HokusaiError(msg, "Write it as 600/minute, or 10 per 2 seconds.") from None
    if item.amount < 1:
        msg = f"The rate limit {text!r} lets nothing through."
        raise HokusaiError(msg, "Give at least 1.")
    return Rate(name, item)


class Limiter:
    """Counts requests in this process, or with other workers in Redis.

    Where Redis does not answer, this process counts alone until it does: a server that lets
    everybody in, or nobody, would be worse.

    Args:
        redis_url: Where to count; may hold a password.
    """

    def __init__(self, redis_url: SecretStr | None = None) -> None:
        self._alone = FixedWindowRateLimiter(storage_from_string(_MEMORY))
        self._together: RateLimiter | None = None
        self._warned = -math.inf
        self._lock = threading.Lock()
        if redis_url is not None:
            self._together = _on_redis(redis_url.get_secret_value())

    @property
    def waits(self) -> bool:
        """Whether counting asks another machine, and so may block."""
        return self._together is not None

    def take(self, rate: Rate, who: str) -> Allowance:
        """Count one request, if it may be made."""
        return self._asked(rate, who, take=True)

    def look(self, rate: Rate, who: str) -> Allowance:
        """Return what is left, and count nothing."""
        return self._asked(rate, who, take=False)

    def _asked(self, rate: Rate, who: str, *, take: bool) -> Allowance:
        if self._together is not None:
            try:
                return _allowance(self._together, rate, who, take=take)
            except StorageError as error:
                self._warn(error)
        return _allowance(self._alone, rate, who, take=take)

    def _warn(self, error: StorageError) -> None:
        """Say once a minute that requests are counted alone."""
        with self._lock:
            now = time.monotonic()
            if now - self._warned < _WARN_SECONDS:
                return
            self._warned = now
        logger.warning(
            "Redis does not answer (%s); this process counts requests alone.", type(error.storage_error).__name__
        )


def _on_redis(url: str) -> RateLimiter:
    """Return a limiter that counts in Redis; nothing is contacted.

    Raises:
        MissingExtraError: The client library is not installed.
        HokusaiError: It is no address of Redis.
    """
    options = {"socket_connect_timeout": _REDIS_SECONDS, "socket_timeout": _REDIS_SECONDS}
    try:
        storage = storage_from_string(url, wrap_exceptions=True, **options)
    except (ConfigurationError, ValueError) as error:
        if "prerequisite" in str(error):
            feature = "Counting requests in Redis"
            raise MissingExtraError(feature, "redis") from error
        msg = "HOKUSAI_REDIS_URL is no address of Redis."
        raise HokusaiError(msg, "Write it as redis://host:6379.") from None
    return FixedWindowRateLimiter(storage)


def _allowance(limiter: RateLimiter, rate: Rate, who: str, *, take: bool) -> Allowance:
    granted = limiter.hit(rate.item, rate.name, who) if take else limiter.test(rate.item, rate.name, who)
    stats = limiter.get_window_stats(rate.item, rate.name, who)
    return Allowance(granted, max(0, stats.remaining), max(1, math.ceil(stats.reset_time - time.time())))
