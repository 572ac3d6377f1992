"""Where a member stands in a document: the guess, as far from the end as in the document before, is never wrong."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from fairlead.providers.anthropic.native_answers import USAGE as MEMBER
from fairlead.providers.native_answers import LastMember
from fairlead.wire.usage import TokenClasses, Usage

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


@pytest.mark.parametrize(
    "usage", [b"null", b"[]", b"[1,2,3]", b'"x"', b'"a long text }"', b"5", b"123456", b"true", b"{}"]
)
@pytest.mark.parametrize("counted", [None, Usage(TokenClasses(input=3, output=4, request=1), 3, 4)])
def test_a_usage_of_any_type_gets_the_cost_in_valid_json(usage: bytes, counted: Usage | None) -> None:
    """Of a provider that is broken, or counts elsewhere."""
    document = b'{"type":"message_delta","usage":%b,"more":1}' % usage
    found = json.loads(MEMBER.added(document, b',"cost":0.5', counted))
    assert found["more"] == 1
    assert found["usage"]["cost"] == 0.5
    assert ("output_tokens" in found["usage"]) is (counted is not None)
