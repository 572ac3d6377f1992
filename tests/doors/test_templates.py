"""Bodies that differ in their conversation alone: the second is read by what is known of the first, and means the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.doors.gemini.door import GOOGLE_GEMINI
from fairlead.doors.messages.door import ANTHROPIC_MESSAGES
from fairlead.doors.responses.door import RESPONSES_DOOR
from fairlead.errors import InvalidRequest
from fairlead.http.request import KnownHead, Request
from fairlead.providers.anthropic.vendor import CHAT_API as ANTHROPIC
from fairlead.providers.dialect import Binding
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.gemini.vendor import CHAT_API as GEMINI
from fairlead.providers.responses_api.vendor import CHAT_API as RESPONSES
from fairlead.routing.demand import Demand

TAGGED = "fairlead:google-gemini-v1:s:i:v"
# Of each door: a path, what stands around the conversation, its member, and conversations, the first of them plain.
DOORS: dict[str, tuple[Any, Any, str, str, dict[str, Any], str, list[Any]]] = {
    "messages": (
        ANTHROPIC_MESSAGES, ANTHROPIC, "anthropic", "/v1/messages",
        {"model": "m", "max_tokens": 9, "system": "Be brief.", "metadata": {"user_id": "u"}, "messages": None, "stream": True},
        "messages",
        [
            [{"role": "user", "content": "Hi"}],
            [{"role": "user", "content": "Höher \U0001f388 \" \\ \n"}, {"role": "assistant", "content": "So"}],
            [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}],
            [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/b.png"}}]}],
            [{"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": TAGGED}, {"type": "text", "text": "a"}]}, {"role": "user", "content": "go on"}],
        ],
    ),
    "responses": (
        RESPONSES_DOOR, RESPONSES, "openai-responses", "/v1/responses",
        {"model": "m", "instructions": "Be brief.", "input": None, "text": {"format": {"type": "json_object"}}, "store": False},
        "input",
        [
            [{"role": "user", "content": "Hi"}],
            "Just a text \" \\ é",
            [{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/b.png"}]}],
            [{"type": "reasoning", "summary": [], "encrypted_content": "flr1.x"}, {"role": "user", "content": "x"}],
            [{"type": "additional_tools", "tools": [{"type": "custom", "name": "t"}]}, {"role": "user", "content": "x"}],
        ],
    ),
    "gemini": (
        GOOGLE_GEMINI, GEMINI, "gemini", "/v1beta/models/m:generateContent",
        {"systemInstruction": {"parts": [{"text": "s"}]}, "contents": None, "generationConfig": {"candidateCount": 2}},
        "contents",
        [
            [{"role": "user", "parts": [{"text": "Hi"}]}],
            [{"role": "user", "parts": [{"text": "é"}]}, {"role": "model", "parts": [{"text": "a"}]}],
            [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}],
            [{"role": "model", "parts": [{"text": "a", "thoughtSignature": "ZmFpcmxlYWQ6W10="}]}, {"role": "user", "parts": {"text": "b"}}],
        ],
    ),
}  # fmt: skip
FACTS = (
    "api", "model", "needs", "media", "text_bytes", "prompt_bytes", "cap", "choices", "stream", "strict", "formatted",
    "fallbacks",
)  # fmt: skip


def body_of(door: str, conversation: Any, *, spaced: bool = False) -> bytes:
    members = {**DOORS[door][4], DOORS[door][5]: conversation}
    return json.dumps(members, ensure_ascii=False, separators=None if spaced else (",", ":")).encode()


def request(door: str, body: bytes, known: KnownHead | None = None) -> Request:
    length = b"%d" % len(body)
    path = DOORS[door][3].encode()
    headers = [(b"anthropic-beta", b"x"), (b"content-length", length)]
    made = Request("POST", path, headers, body, "1.1", known=None)
    made.known = known
    return made


def head(door: str) -> KnownHead:
    text = b"POST %b HTTP/1.1\r\nContent-Length: 5\r\n\r\n" % DOORS[door][3].encode()
    known = KnownHead.learn(text, request(door, b"12345"))
    assert known is not None
    return known


def adapter(door: str) -> Any:
    dialect = DIALECTS[DOORS[door][2]]
    new_writer = DOORS[door][0].new_writer
    return DOORS[door][1].adapter(
        Binding(dialect, "m", "up-1", {}, lambda: 0.0, api=DOORS[door][0].api, new_writer=new_writer)
    )


def facts(demand: Demand) -> list[Any]:
    notes = demand.notes
    return [*(getattr(demand, name) for name in FACTS), None if notes is None else (notes.session, notes.user)]


def joined(call: Any) -> bytes:
    return b"".join(call.body)


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("door", DOORS)
def test_a_body_that_is_known_but_for_its_conversation_means_the_same(door: str, spaced: bool) -> None:
    speaks, bound, known = DOORS[door][0], adapter(door), head(door)
    speaks.parse(request(door, body_of(door, DOORS[door][6][0], spaced=spaced), known))
    assert known.template is not None
    for _ in range(2):  # the first is written as a whole, the second by what was found out then
        for conversation in DOORS[door][6]:
            body = body_of(door, conversation, spaced=spaced)
            alone = speaks.parse(request(door, body))
            again = speaks.parse(request(door, body, known))
            assert again.payload.template is known.template, "it was read by its template"
            assert facts(again) == facts(alone)
            assert again.operation.media_tokens(again.payload, 100) == alone.operation.media_tokens(alone.payload, 100)
            assert again.operation.affinity(again.payload) == alone.operation.affinity(alone.payload)
            own, shared = bound.to_vendor(alone.payload), bound.to_vendor(again.payload)
            assert joined(shared) == joined(own)
            assert (shared.path, shared.headers, shared.dropped, shared.stream) == (
                own.path, own.headers, own.dropped, own.stream,
            )  # fmt: skip
            assert again.payload.neutral().messages == alone.payload.neutral().messages


@pytest.mark.parametrize("door", DOORS)
def test_another_body_on_the_same_connection(door: str) -> None:
    speaks, known = DOORS[door][0], head(door)
    speaks.parse(request(door, body_of(door, DOORS[door][6][0]), known))
    before = known.template
    other = body_of(door, DOORS[door][6][0]).replace(b"Be brief.", b"Be long.").replace(b'"s"', b'"t"')
    assert speaks.parse(request(door, other, known)).payload.body == other
    assert known.template is not before, "the last one is kept"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("value", [b"[", b"7", b'[],"model":"other"', b'"a"x', b"[\xff]", b'[{"role":"user"}]x'])
def test_what_is_no_conversation_is_refused_as_without_a_template(door: str, value: bytes) -> None:
    speaks, known = DOORS[door][0], head(door)
    speaks.parse(request(door, body_of(door, DOORS[door][6][0]), known))
    body = body_of(door, "@").replace(b'"@"', value)
    refusals = []
    for given in (None, known):
        with pytest.raises(InvalidRequest) as caught:
            speaks.parse(request(door, body, given))
        refusals.append((caught.value.message, caught.value.param))
    assert refusals[0] == refusals[1]


def test_a_template_keeps_nothing_of_the_body_that_it_was_made_of() -> None:
    import gc

    known = head("messages")
    body = body_of("messages", [{"role": "user", "content": "x" * 100_000}])
    ANTHROPIC_MESSAGES.parse(request("messages", body, known))
    assert known.template is not None
    del body
    gc.collect()
    held = [one for one in gc.get_referents(known.template) if isinstance(one, bytes) and len(one) > 4_096]
    assert held == []


def test_a_body_goes_on_in_pieces_where_it_is_long() -> None:
    bound, known = adapter("messages"), head("messages")
    for text in ("x", "y" * 100_000, "z" * 100_000):
        body = body_of("messages", [{"role": "user", "content": text}])
        call = bound.to_vendor(ANTHROPIC_MESSAGES.parse(request("messages", body, known)).payload)
        assert joined(call) == body.replace(b'"model":"m"', b'"model":"up-1"')
    assert len(call.body) == 3


@pytest.mark.parametrize(
    ("door", "conversation", "last"),
    [
        ("gemini", [{"role": "model", "parts": [{"text": "a"}]}, {"role": "user", "parts": [{"text": "é"}]}], {"role": "model", "parts": [{"text": "b"}]}),
        ("responses", [{"role": "assistant", "content": "a"}, {"role": "user", "content": "é"}], {"role": "user", "content": "b"}),
    ],
)  # fmt: skip
def test_texts_alone_are_read_like_other_conversations(
    door: str, conversation: list[Any], last: dict[str, Any]
) -> None:
    speaks = DOORS[door][0]
    plain = speaks.parse(request(door, body_of(door, [*conversation, last])))
    other = speaks.parse(request(door, body_of(door, [*conversation, {**last, "other": 1}])))
    assert (plain.needs, plain.media) == (other.needs, other.media)
    assert plain.operation.affinity(plain.payload) == other.operation.affinity(other.payload)
    if door == "gemini":
        facts_of = [
            (one.entries, one.blocks, one.prefilled) for one in (plain.payload.contents, other.payload.contents)
        ]
        assert facts_of == [(3, 3, True)] * 2
        assert (plain.payload.contents.plain, other.payload.contents.plain) == (True, False)


@pytest.mark.parametrize("door", DOORS)
def test_conversations_that_begin_otherwise_go_elsewhere(door: str) -> None:
    """Each goes back to where it is cached."""
    speaks = DOORS[door][0]
    demands = [speaks.parse(request(door, body_of(door, conversation))) for conversation in DOORS[door][6][:3]]
    assert len({demand.operation.affinity(demand.payload) for demand in demands}) == 3
