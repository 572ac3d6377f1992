"""Where a member stands in a document: the guess, as far from the end as in the document before, is never wrong."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from fairlead.providers.native_answers import LastMember

USAGE = '{"tokens":7}'


@pytest.mark.parametrize(
    "document",
    [
        '{"a":1,"usage":{"tokens":7}}',
        '{"a":1,"usage":{"tokens":7},"more":[1,2,3]}',
        '{"a":{"usage":{"tokens":7}},"usage": {"tokens":7} }',
        '{"usage":{"tokens":7},"text":"{\\"tokens\\":7}"}',
        '{"usage":{"tokens":7},"other":{"tokens":7}}',
        '{"text":"\\"usage\\":{}","usage":\n{"tokens":7}}',
    ],
)
def test_a_member_is_found_whatever_stood_in_the_document_before(document: str) -> None:
    place = LastMember("usage")
    body, value = document.encode(), Raw(USAGE.encode())
    before = ['{"usage":{"tokens":7}}', '{"usage":{"tokens":7},"x":"y"}', "{}", document]
    for other in before:
        place.find(other.encode(), value)
        at = place.find(body, value)
        assert body[at : at + len(USAGE)].decode() == USAGE
        outer = json.loads(body[:at] + b'"here"' + body[at + len(USAGE) :])
        assert outer["usage"] == "here"


def test_what_does_not_stand_there_is_not_found() -> None:
    place = LastMember("usage")
    for document in (b"{}", b'{"usage":{"tokens":8}}', b'{"usage" {"tokens":7}}', b'{"tokens":7}'):
        assert place.find(document, Raw(USAGE.encode())) == -1
