"""Emergency access: for how long, with which reasons, in which words it is told. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final

import msgspec

from stillwave.errors import BadInput

LASTS: Final = dt.timedelta(minutes=60)
_SHORTEST_REASON: Final = 20
_LONGEST_REASON: Final = 1000


class Asking(msgspec.Struct, forbid_unknown_fields=True):
    """Whose data an operator has to see, why, and the code that proves who asks."""

    email: Annotated[str, msgspec.Meta(max_length=254)]
    reason: Annotated[str, msgspec.Meta(max_length=_LONGEST_REASON)]
    code: Annotated[str, msgspec.Meta(max_length=64)]


def check_reason(text: str) -> str:
    """The reason without blanks around it. Raises BadInput for one that says nothing."""
    text = text.strip()
    if len(text) < _SHORTEST_REASON:
        raise BadInput("reason", "says too little", f"at least {_SHORTEST_REASON} characters: what happened, and what you need to know")
    return text


def letter(at: dt.datetime, until: dt.datetime, base_url: str) -> tuple[str, str]:
    """Subject and text of the mail that tells the person at once. The reason stays on the server: mails are not sealed."""
    return (
        "An operator opened your data",
        (f"An operator of this Stillwave opened your data in an emergency, on {at:%d %B %Y at %H:%M} UTC.\n\n"
        f"They can read it until {until:%H:%M} UTC, and change nothing. Each look is in your log.\n\n"
        f"The reason they gave, and a button that ends it at once: {base_url}/privacy/emergency\n\n"
        "If you know of no emergency, ask the operator.\n"),
    )
