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
