"""The report of a promotion: text, JSON or HTML, with a MAC that shows whether it was changed."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import html
import json
import re
from typing import Any

import msgspec

from stillwave import __version__
from stillwave.db.keys import RootKey
from stillwave.promote import rules
from stillwave.promote.copy import Run
from stillwave.promote.verify import Check

_MAC = re.compile(r"(MAC |<!-- MAC |\"mac\": \")[0-9a-f]{64}")
_COLUMNS = ("read", "copied", "repaired", "rejected", "merged")


class Report(msgspec.Struct, frozen=True):
    """What was done, what was found, and whether all is well."""

    program: str
    source: str
    fingerprint: str
    target: str
    began_at: dt.datetime
    finished_at: dt.datetime
    seconds: float
    steps: dict[str, dict[str, int]]
    digests: dict[str, str]
    rules: dict[str, int]
    checks: list[Check]

    @property
    def whole(self) -> bool:
        """Every check is as it should be."""
        return all(check.ok for check in self.checks)

    @property
    def rejected(self) -> int:
        """Rows that did not arrive."""
        return sum(step.get("rejected", 0) for step in self.steps.values())


def made(run: Run, checks: list[Check], finished_at: dt.datetime, seconds: float) -> Report:
    """The report of a run."""
    steps = run.steps()
    spoken: dict[str, int] = {}
    for step in steps:
        for code in rules.RULES:
            if step.counts[code]:
                spoken[code] = spoken.get(code, 0) + step.counts[code]
    return Report(
        f"stillwave {__version__}", run.source.kind, run.name, run.target.engine, run.began_at, finished_at, round(seconds, 1),
        {step.name: {name: step.counts[name] for name in _COLUMNS} for step in steps},
        {step.name: str(step.digest) for step in steps}, spoken, checks,
    )  # fmt: skip


def text(report: Report, root: RootKey) -> str:
    """The report as a page of plain text."""
    lines = [
        f"Promotion by {report.program}: a {report.source} database into {report.target}",
        f"Source {report.fingerprint[:16]}… · begun {report.began_at:%Y-%m-%d %H:%M:%S} UTC · finished {report.finished_at:%Y-%m-%d %H:%M:%S} UTC",
        "",
        f"{'step':<22}" + "".join(f"{name:>11}" for name in _COLUMNS),
        *(f"{name:<22}" + "".join(f"{step[column]:>11}" for column in _COLUMNS) for name, step in report.steps.items()),
        "",
        *(f"{count:>11}  {code} ({rules.RULES[code].kind}): {rules.RULES[code].text}" for code, count in report.rules.items()),
        "",
        *(f"{'ok' if check.ok else 'WRONG':<6} {check.name}: {check.told}" for check in report.checks),
        "",
        verdict(report),
    ]
    return _signed(_literal("\n".join(lines)) + "\nMAC {}\n", root)


def verdict(report: Report) -> str:
    """The one sentence."""
    if not report.whole:
        return "The target is not what it should be: see the lines that say WRONG. Do not use it."
    if report.rejected:
        return f"Every row is accounted for; {report.rejected} of them are in promotion_rejects, with the reason."
    return "Every row has arrived."


def as_json(report: Report, root: RootKey) -> str:
    """The report for programs."""
    facts: dict[str, Any] = msgspec.to_builtins(report)
    facts |= {"whole": report.whole, "rejected": report.rejected, "verdict": verdict(report)}
    return _signed(_literal(json.dumps(facts, indent=1, ensure_ascii=False)[:-2]) + ',\n "mac": "{}"\n}}\n', root)


def as_html(report: Report, root: RootKey) -> str:
    """The report as a page."""
    escape = html.escape

    def rows(lines: list[tuple[object, ...]]) -> str:
        return "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in line) + "</tr>" for line in lines)

    def head(names: tuple[str, ...]) -> str:
        return "<tr>" + "".join(f"<th scope=col>{escape(name)}</th>" for name in names) + "</tr>"

    page = f"""<!doctype html>
<html lang=en><meta charset=utf-8><title>Promotion report</title>
<style>body{{font:16px/1.5 system-ui;max-width:70rem;margin:2rem auto;padding:0 1rem}}td,th{{padding:.2rem .6rem;text-align:left;border-bottom:1px solid #bbb}}</style>
<h1>Promotion report</h1>
<p>{escape(report.program)}: a {escape(report.source)} database into {escape(report.target)},
begun {report.began_at:%Y-%m-%d %H:%M:%S} UTC, finished {report.finished_at:%Y-%m-%d %H:%M:%S} UTC.</p>
<p><strong>{escape(verdict(report))}</strong></p>
<h2>Rows</h2><table>{head(("step", *_COLUMNS, "digest"))}{rows([(name, *(step[c] for c in _COLUMNS), report.digests[name]) for name, step in report.steps.items()])}</table>
<h2>Rules that spoke</h2><table>{head(("rule", "rows", "kind", "what it says"))}{rows([(code, count, rules.RULES[code].kind, rules.RULES[code].text) for code, count in report.rules.items()])}</table>
<h2>Checks</h2><table>{head(("check", "", "found"))}{rows([(check.name, "ok" if check.ok else "WRONG", check.told) for check in report.checks])}</table>
</html>
"""
    return _signed(_literal(page) + "<!-- MAC {} -->\n", root)


def _literal(page: str) -> str:
    return page.replace("{", "{{").replace("}", "}}")


def _signed(form: str, root: RootKey) -> str:
    return form.format(_mac(form.format("0" * 64), root))


def _mac(page: str, root: RootKey) -> str:
    return hmac.new(root.derive("promotion-report"), page.encode(), hashlib.sha256).hexdigest()


def unchanged(page: str, root: RootKey) -> bool:
    """True for a report, in any of its forms, that is as it was written under this root key."""
    found = list(_MAC.finditer(page))
    if not found:
        return False
    last = found[-1]
    told = page[last.end() - 64 : last.end()]
    empty = page[: last.end() - 64] + "0" * 64 + page[last.end() :]
    return hmac.compare_digest(_mac(empty, root), told)
