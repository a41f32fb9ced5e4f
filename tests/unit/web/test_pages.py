"""Pages are made ready before somebody asks for them."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest

from stillwave.web import pages


def test_after_the_warm_up_no_template_is_compiled_while_somebody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    pages._templates.cache_clear()

    def refuse(*_args: Any, **_named: Any) -> Any:
        raise AssertionError("compiled while somebody waits")

    pages.warm_up()
    monkeypatch.setattr(jinja2.Environment, "compile", refuse)
    assert "<h1>" in pages.render("web/landing.html", me=None, path="/", notice=None, status=200, demo=True)
    for name in pages._templates().list_templates(extensions=["html"]):
        pages._templates().get_template(name)


def test_a_number_stays_on_the_line_of_its_unit() -> None:
    told = pages.tied("near 8.6 Hz about 4.5 of 5, less than 1 % in 20 min, over 9 sessions")
    assert told == "near 8.6\u00a0Hz about 4.5\u00a0of\u00a05, less than 1\u00a0% in 20\u00a0min, over 9 sessions"
