"""The operator's page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response
from litestar.params import FromPath

from stillwave.accounts import actions as accounts
from stillwave.jobs import actions as jobs
from stillwave.operator import actions
from stillwave.web import gate, pages
from stillwave.web.kit import kit_of
from stillwave.web.routes import page_get, page_post


@page_get("/operator")
def operator_page(request: Request[Any, Any, Any]) -> Response[str]:
    """Health and counts, for operators only."""
    kit = kit_of(request)
    now = kit.clock()
    with gate.read(request) as (tx, me):
        gate.operator(me)
        health = actions.health(tx, kit.settings, kit.clock(), mail=kit.mail.configured)
        people = accounts.people(tx)
    with kit.database.read(right="retention") as tx:
        waiting, trouble = jobs.counts(tx, now), jobs.in_trouble(tx)
    failed = [
        {
            "id": job.id, "kind": job.kind.replace("_", " "), "failures": job.failures, "dead": job.dead_at is not None,
            "where": job.last_error, "when": f"{job.dead_at or job.due_at:%d %B, %H:%M} UTC".lstrip("0"),
        }
        for job in trouble
    ]  # fmt: skip
    return pages.page(
        request, "operator/operator.html", me=me, health=health, people=people, jobs=waiting, failed=failed
    )


@page_post("/operator/jobs/{job_id:uuid}/retry")
def retry_job(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> Response[Any]:
    """The failed job is begun again."""
    kit = kit_of(request)
    with gate.read(request) as (_tx, me):
        gate.operator(me)
    with kit.database.write(right="retention") as tx:
        jobs.retry(tx, job_id, kit.clock())
    return pages.see_other("/operator", notice="It is tried again now.")


HANDLERS = [operator_page, retry_job]
