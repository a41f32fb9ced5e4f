"""The operator's page."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from litestar import Request, Response
from litestar.params import FromPath

from stillwave import __version__
from stillwave.accounts import actions as accounts
from stillwave.db import audit
from stillwave.emergency import actions as emergency
from stillwave.errors import NotFound
from stillwave.jobs import actions as jobs
from stillwave.operator import actions
from stillwave.privacy import erasure
from stillwave.web import gate, pages
from stillwave.web.kit import address_of, kit_of
from stillwave.web.meter import CONTENT_TYPE
from stillwave.web.routes import page_get, page_post


@page_get("/health")
def health(request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
    """200 while the process lives and the database answers."""
    with kit_of(request).database.read() as tx:
        actions.ping(tx)
    return Response({"status": "ok", "version": __version__})


@page_get("/health/ready")
def ready(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """200 when requests can be served well; 503 with what is missing otherwise."""
    kit = kit_of(request)
    missing = [check.label for check in actions.readiness(kit.database, kit.settings, kit.clock()) if not check.ok]
    return Response({"status": "not ready" if missing else "ok", "missing": missing}, status_code=503 if missing else 200)


@page_get("/metrics")
def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Counts for Prometheus: with STILLWAVE_METRICS_TOKEN for who has it, without one for this machine only."""
    kit = kit_of(request)
    if not _may_count(request, kit.settings.metrics_token):
        raise NotFound("There is nothing here for you.")
    with kit.database.read(right="retention") as tx:
        counts = jobs.counts(tx, kit.clock())
    states = {name: getattr(counts, name) for name in ("waiting", "due", "running", "failing", "dead")}
    return Response(kit.meter.text(states, kit.database.connections_now()), media_type=CONTENT_TYPE)


def _may_count(request: Request[Any, Any, Any], token: str | None) -> bool:
    if token is not None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return secrets.compare_digest(given.encode(), token.encode())
    # A proxy on this machine passes the public name on as Host.
    asked = urlsplit(f"//{request.headers.get('host', '')}").hostname
    return address_of(request) in _HERE and asked in ("127.0.0.1", "localhost", "::1")


_HERE = ("127.0.0.1", "::1")


@page_get("/operator")
def operator_page(request: Request[Any, Any, Any]) -> Response[str]:
    """Health and counts, for operators only."""
    kit = kit_of(request)
    now = kit.clock()
    with gate.read(request) as (tx, me):
        gate.operator(me)
        health = actions.health(tx, kit.settings, kit.clock(), mail=kit.mail.configured)
        people, leaving = accounts.people(tx), erasure.waiting(tx)
    with kit.database.read(right="retention") as tx:
        waiting, trouble = jobs.counts(tx, now), jobs.in_trouble(tx)
        open_now = len(emergency.running(tx, now))
    health += actions.work(waiting, now)
    failed = [
        {
            "id": job.id, "kind": job.kind.replace("_", " "), "failures": job.failures, "dead": job.dead_at is not None,
            "where": job.last_error, "when": f"{job.dead_at or job.due_at:%d %B, %H:%M} UTC".lstrip("0"),
        }
        for job in trouble
    ]  # fmt: skip
    return pages.page(
        request, "operator/operator.html", me=me, health=health, people=people, leaving=leaving, jobs=waiting, failed=failed,
        emergencies=open_now,
    )


@page_post("/operator/jobs/{job_id:uuid}/retry")
def retry_job(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> Response[Any]:
    """The failed job is begun again."""
    kit = kit_of(request)
    with gate.read(request) as (_tx, me):
        gate.operator(me)
    with kit.database.write(right="retention") as tx:
        jobs.retry(tx, job_id, kit.clock())
    with kit.database.write(me.user_id) as tx:
        audit.note(tx, me.user_id, "jobs.retried", kit.clock(), actor="operator", job=str(job_id))
    return pages.see_other("/operator", notice="It is tried again now.")


HANDLERS = [health, ready, metrics, operator_page, retry_job]
