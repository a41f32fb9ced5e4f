"""Rate limits per account, per address and for everybody, kept in the memory of the process."""

from __future__ import annotations

import time

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from stillwave.errors import TooMany

# name: what one key may do
RULES: dict[str, str] = {
    "sign_in_account": "10/15 minute",
    "sign_in_address": "30/15 minute",
    "sign_in_all": "600/minute",
    "passkey_address": "60/15 minute",
    "sign_up_address": "10/hour",
    "sign_up_all": "300/hour",
    "recover_account": "3/hour",
    "recover_address": "10/hour",
    "recover_all": "300/hour",
    "reset_account": "10/hour",
    "reset_address": "30/hour",
    "reset_all": "600/hour",
    "password_account": "10/hour",
    "export_account": "10/hour",
    "write_account": "240/minute",
}


class RateLimits:
    """Counts tries in moving windows."""

    def __init__(self, *, factor: int = 1) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._rules: dict[str, list[RateLimitItem]] = {name: parse_many(text) for name, text in RULES.items()}
        self._factor = factor

    def count(self, name: str, key: str) -> None:
        """One try of `name` by `key` is counted. Raises TooMany when the limit is used up."""
        for rule in self._rules[name]:
            if self._factor > 1:
                rule = type(rule)(rule.amount * self._factor, rule.multiples)  # noqa: PLW2901
            if not self._limiter.hit(rule, name, key):
                opens, _left = self._limiter.get_window_stats(rule, name, key)
                wait_s = max(1, int(opens - time.time()) + 1)
                raise TooMany(f"Please wait {_spoken(wait_s)} and try again.", retry_after_s=wait_s)


def _spoken(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes"
