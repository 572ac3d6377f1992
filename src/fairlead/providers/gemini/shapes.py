"""The shapes of generateContent's answers, as far as they are read."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from fairlead.wire.chat_shapes import NULL


class FunctionCall(Struct, gc=False):
    name: str
    id: str | None = None
    args: Raw = Raw(b"{}")


class AnswerPart(Struct, gc=False, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: FunctionCall | None = None


class AnswerContent(Struct, gc=False):
    parts: list[AnswerPart] = []


class Candidate(Struct, gc=False, rename="camel"):
    index: int = 0
    content: AnswerContent = msgspec.field(default_factory=AnswerContent)
    finish_reason: str | None = None


class Feedback(Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class Answer(Struct, gc=False, rename="camel"):
    candidates: list[Candidate] = []
    usage_metadata: Raw = NULL
    response_id: str = ""
    model_version: str = ""
    prompt_feedback: Feedback | None = None
    error: Raw = NULL


class SaidPart(Struct, gc=False, rename="camel"):
    text: Raw = NULL
    thought: bool = False
    function_call: Raw = NULL


class SaidContent(Struct, gc=False):
    parts: list[SaidPart] = []


class SaidCandidate(Struct, gc=False, rename="camel"):
    content: SaidContent | None = None
    finish_reason: str | None = None
    index: int = 0


class SaidAnswer(Struct, gc=False, rename="camel"):
    """A whole answer, to find out whether it is one text and nothing else."""

    candidates: list[SaidCandidate] = []
    response_id: str = ""
    usage_metadata: Raw = NULL
    error: Raw = NULL


class PassedCall(Struct, gc=False):
    name: str = ""
    args: Raw = Raw(b"{}")


class PassedPart(Struct, gc=False, rename="camel"):
    text: Raw = NULL
    function_call: PassedCall | None = None


class PassedContent(Struct, gc=False):
    parts: list[PassedPart] = []


class PassedCandidate(Struct, gc=False, rename="camel"):
    content: PassedContent | None = None
    finish_reason: str | None = None
    index: int = 0


class PassedFeedback(Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class PassedDocument(Struct, gc=False, rename="camel"):
    candidates: list[PassedCandidate] = []
    usage_metadata: Raw = NULL
    model_version: Raw = NULL
    prompt_feedback: PassedFeedback | None = None
    error: Raw = NULL


class ErrorText(Struct, gc=False):
    code: int
    message: str = ""
    status: str = ""


class ErrorDocument(Struct, gc=False):
    error: ErrorText
