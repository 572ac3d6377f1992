"""The measurement of the console asks for every page of its table."""

from __future__ import annotations

from console import SAMPLES, without_sample
from fairlead.console.account import PAGES as ACCOUNT
from fairlead.console.page import ConsolePage


def test_a_page_that_nobody_has_said_how_to_ask_for_is_named() -> None:
    forms = [one for one in ACCOUNT if one.methods == ("POST",)]
    new = ConsolePage("/account/new-page", ACCOUNT[0].endpoint, "view")
    known = ConsolePage(next(iter(SAMPLES)), ACCOUNT[0].endpoint, "anyone")
    assert without_sample([*forms, known, new]) == ["/account/new-page"]
