"""Whatever is sent, the API answers as its OpenAPI document says, alike on both engines; `bench/api_cases.py` at length."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import pytest

from bench import api_cases
from stillwave.factors import actions as factors
from tests.contract.test_nobody_reaches_anothers_rows import ROUTES


@pytest.fixture(scope="module")
def worlds(settings_on) -> Iterator[list[api_cases.World]]:
    with api_cases.world("sqlite", settings_on("sqlite")) as sqlite, api_cases.world("postgres", settings_on("postgres")) as postgres:
        yield [sqlite, postgres]


def test_no_case_is_answered_with_anything_that_is_not_promised(worlds) -> None:
    seen = api_cases.series(worlds, 300)
    assert not seen.wrong, "\n".join(line for lines in seen.wrong.values() for line in lines[:3])[:4000]
    assert seen.cases >= 200
    assert len(seen.operations) == sum(route.is_api and "/schema" not in route.path for route in ROUTES)
    assert {200, 201, 204, 401, 404, 422} <= seen.statuses.keys()


def test_a_fault_of_the_server_is_noticed(worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise TypeError

    monkeypatch.setattr(factors, "state", broken)
    seen = api_cases.series(worlds, 40, only="GET /api/v1/second-factor")
    assert {"ServerError", "UndefinedStatusCode"} <= seen.wrong.keys(), seen.statuses


@pytest.fixture(scope="module")
def document(worlds) -> dict:
    return worlds[0].nobody.get("/api/v1/schema/openapi.json").json()


def test_the_document_says_who_needs_a_login(document) -> None:
    assert document["security"] == [{"token": []}]
    said = {
        (method.upper(), path): operation.get("security") == [{}]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    meant = {
        (route.method, re.sub(r":\w+\}", "}", route.path)): route.open_to_all
        for route in ROUTES
        if route.is_api and "/schema" not in route.path
    }
    assert said == meant


def test_the_document_names_every_shape_it_refers_to(document) -> None:
    named = set(re.findall(r"#/components/schemas/(\w+)", msgspec.json.encode(document).decode()))
    assert named == document["components"]["schemas"].keys()


def test_the_document_holds_what_is_checked(document) -> None:
    shapes = document["components"]["schemas"]
    assert shapes["Answer"]["additionalProperties"] is False
    assert shapes["Answer"]["properties"]["effects"]["additionalProperties"] == {"type": "integer", "minimum": 1, "maximum": 3}
    assert shapes["Login"]["properties"]["created_at"] == {"type": "string", "format": "date-time"}
    assert "pattern" in shapes["Preferences"]["properties"]["morning_routine_time"]["anyOf"][0]
    refused = document["paths"]["/api/v1/sessions"]["post"]["responses"]["422"]["content"]
    assert refused == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
