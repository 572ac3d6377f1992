"""The reference shows what the management API answers, and every endpoint of it."""

from __future__ import annotations

from tests.docs.test_reference import shape

from fairlead.api.management.table import ACTIONS
from fairlead.api.openapi import examples

from .conftest import Api
from .tour import tour


def test_every_endpoint_of_management_has_an_example_with_the_members_of_a_real_answer(api: Api) -> None:
    seen = {name: (request, response) for name, request, response in tour(api)}
    assert set(seen) == {f"{action.method} {action.path}" for action in ACTIONS if action.listed}
    # Of what a change, a call or a list happens to have.
    free = (".before", ".after", ".budgets_usd", ".limits", ".data.candidates", ".data.attempts")
    for name, (request, response) in seen.items():
        example = examples()[name]
        assert example.get("request") == request or set(shape(example["request"])) == set(shape(request)), name
        found, shown = (
            {path for path in shape(one) if not any(part in path for part in free)}
            for one in (response, example["response"])
        )
        assert found == shown, name
