"""The page in a mail says what its text says, and nothing in the text becomes markup."""

from __future__ import annotations

import re

import pytest

from stillwave.web.mail import Part, paragraphs, written


def page_of(text: str, subject: str = "A subject") -> str:
    body = written("stillwave@example.org", "ada@example.org", subject, text).get_body(("html",))
    assert body is not None
    content: str = body.get_content()
    return content


def test_the_text_is_sent_as_it_was_given() -> None:
    text = "Good evening.\n\nYour diary waits.\n"
    body = written("stillwave@example.org", "ada@example.org", "A subject", text).get_body(("plain",))
    assert body is not None
    assert body.get_content() == text


def test_paragraphs_stay_paragraphs() -> None:
    page = page_of("Good evening.\n\nYour diary waits.\nIt takes a minute.\n")
    assert re.findall(r"<p [^>]*pre-line[^>]*>([^<]*)</p>", page) == ["Good evening.", "Your diary waits.\nIt takes a minute."]


def test_nothing_in_the_words_becomes_markup() -> None:
    page = page_of('<img src=x> & "so"\n\nhttps://example.org/?a="><b>', subject="<script>alert(1)</script>")
    assert "<img" not in page
    assert "<script" not in page
    assert "&lt;img src=x&gt; &amp; &#34;so&#34;" in page
    assert re.findall(r'href="([^"]*)"', page) == ["https://example.org/?a="]


@pytest.mark.parametrize("after", ["", ".", ", and", "),", "\nnext"])
def test_a_link_ends_before_the_sentence_around_it_does(after: str) -> None:
    (only,) = paragraphs(f"See https://example.org/a?b=1#c{after}")
    assert only.parts[1] == Part("https://example.org/a?b=1#c", link=True)
    assert "".join(part.text for part in only.parts[2:]) == after.rstrip()


def test_only_addresses_of_the_web_become_links() -> None:
    assert "href" not in page_of("javascript:alert(1) data:text/html,hello ftp://example.org")


def test_a_value_stands_out_and_a_link_with_a_label_does_not() -> None:
    assert [(one.label, one.value) for one in paragraphs("Your code: ABCD-EFGH\n\nSign in: https://example.org")] == [
        ("Your code", "ABCD-EFGH"), ("", ""),
    ]  # fmt: skip


def test_nothing_is_fetched_when_the_mail_is_opened() -> None:
    assert not re.search(r"\ssrc=|url\(|<link|@import", page_of("Good evening."))
