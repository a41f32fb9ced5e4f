"""What the server counts of itself, for Prometheus: routes, times, streams, jobs, connections; never a person."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

# From a cached read to a large export, in seconds.
_STEPS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Meter:
    """The counters of one process. Labels are routes as they are written in the code, so no id is among them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "stillwave_requests", "Answers given.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "stillwave_request_seconds", "Time to the first byte of the answer.", ["route"], buckets=_STEPS_S,
            registry=self._registry,
        )  # fmt: skip
        self._streams = Gauge("stillwave_sound_streams", "Sounds being streamed.", registry=self._registry)
        self._jobs = Gauge("stillwave_jobs", "Jobs in the database by state.", ["state"], registry=self._registry)
        self._pool = Gauge(
            "stillwave_database_connections", "Connections of this process.", ["state"], registry=self._registry
        )

    def answered(self, scope: Any, status: int) -> None:  # noqa: ANN401  an ASGI scope
        """One more answer; an address that is none of ours counts as `none`."""
        route = scope.get("path_template") or "none"
        self._requests.labels(scope["method"], route, str(status)).inc()
        began_s = scope.get("state", {}).get("began")
        if began_s is not None:
            self._seconds.labels(route).observe(time.perf_counter() - began_s)

    def streaming(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces, counted as one stream while they are taken."""
        with self._streams.track_inprogress():
            yield from pieces

    def text(self, jobs: Mapping[str, int], pool: Mapping[str, int]) -> bytes:
        """Everything in Prometheus' text format, with what is read just now."""
        for state, count in jobs.items():
            self._jobs.labels(state).set(count)
        for state, count in pool.items():
            self._pool.labels(state).set(count)
        return generate_latest(self._registry)
