"""The input of a stored response, in pages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.errors import InvalidRequest
from fairlead.wire.stored import StoredResponse
from fairlead.wire.stored_input import page_of

FIRST = StoredResponse("resp_1", "", b'[{"role":"user","content":"One"},{"type":"reasoning","id":"rs_9"}]', b"{}")
SECOND = StoredResponse(
    "resp_2",
    "resp_1",
    b'[{"type":"message","role":"assistant","content":"Two"},'
    b'{"type":"function_call_output","call_id":"c","output":"x"},'
    b'{"type":"item_of_another_kind","id":5},{"type":7}]',
    b"{}",
)


def page(query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(page_of([FIRST, SECOND], query))
    return found


def test_items_have_ids_and_messages_have_parts() -> None:
    found = page("order=asc")
    assert [item["type"] for item in found["data"]] == [
        "message", "reasoning", "message", "function_call_output", "item_of_another_kind", 7,
    ]  # fmt: skip
    one, kept, two, output, *others = found["data"]
    assert one["content"] == [{"type": "input_text", "text": "One"}]
    assert two["content"] == [{"type": "output_text", "text": "Two"}]
    assert one["status"] == "completed"
    assert one["id"].startswith("msg_")
    assert kept["id"] == "rs_9"
    assert output["id"].startswith("fco_")
    assert all(item["id"].startswith("item_") for item in others)
    assert found == page("order=asc"), "the ids stay"
    assert (found["first_id"], found["last_id"], found["has_more"]) == (one["id"], others[-1]["id"], False)


def test_pages_follow_each_other_in_both_orders() -> None:
    ids = [item["id"] for item in page("order=asc")["data"]]
    assert len(set(ids)) == len(ids) == 6
    for order, wanted in (("asc", ids), ("desc", ids[::-1])):
        seen: list[str] = []
        more, after = True, ""
        while more:
            found = page(f"order={order}&limit=4{after}")
            seen += [item["id"] for item in found["data"]]
            more, after = found["has_more"], f"&after={found['last_id']}"
        assert seen == wanted
    assert page() == page("order=desc&limit=20&include=message.input_image.image_url")
    assert page(f"order=asc&after={ids[-1]}") == {
        "object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("order=up", "order"), ("after=no", "after")],
)
def test_pages_that_there_are_not(query: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        page(query)
    assert caught.value.param == param
