"""Whoever changes what people agree to must give it the next version: then they are asked again."""

from __future__ import annotations

from stillwave.accounts.rules import CONSENTS
from stillwave.web import gate

WORDINGS = {
    "health_data": (1, "65dff27b981cc1a9593584f05b34c2ec0209a01f237d092413fc8c8f10c13ccd"),
    "adaptation": (1, "e1f7da59cc45c1f13e7b6e10d46ae21152f7c9d907a47c04c6a426d376d70897"),
    "ab_sessions": (1, "38b27f1d64cb833c2a578c69b64373c3961f2174138a1981e01eb45e97d068b0"),
    "offline_storage": (1, "4a242dca622ea97b67696512ce4edc9524efea55f1e0c86dc8910cf2ac945e24"),
    "reminders": (1, "2a35a5346f4acd8ba15701b7b6377573e0a309568c29c1f37a79902b1805e900"),
}


def test_a_changed_wording_has_the_next_version() -> None:
    assert {purpose: (text.version, text.sha256) for purpose, text in CONSENTS.items()} == WORDINGS
    assert CONSENTS["health_data"].version == gate.CONSENT_VERSION
    assert CONSENTS["offline_storage"].version == gate.OFFLINE_VERSION
