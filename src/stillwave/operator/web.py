"""The operator's page."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response

from stillwave.accounts import actions as accounts
from stillwave.operator import actions
from stillwave.web import gate, pages
from stillwave.web.kit import kit_of
from stillwave.web.routes import page_get


@page_get("/operator")
def operator_page(request: Request[Any, Any, Any]) -> Response[str]:
    """Health and counts, for operators only."""
    kit = kit_of(request)
    with gate.read(request) as (tx, me):
        gate.operator(me)
        health = actions.health(tx, kit.settings, kit.clock(), mail=kit.mail.configured)
        people = accounts.people(tx)
    return pages.page(request, "operator/operator.html", me=me, health=health, people=people)


HANDLERS = [operator_page]
