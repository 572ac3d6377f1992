"""OpenAI's moderations, and Mistral's, which are alike."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from fairlead.providers.dialect import OperationAPI
from fairlead.providers.openai.embeddings import prompt_usage
from fairlead.providers.openai.errors import event_error
from fairlead.providers.unstreamed import Unstreamed, WholeCall, body_of, document, members_for
from fairlead.wire.apis import MODERATIONS
from fairlead.wire.bounds import MOST_INPUTS
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.moderations import ModerationAnswer, ModerationRequest, Verdict, checked_verdicts


class _Answer(Struct):
    id: str = ""
    results: Annotated[list[Verdict], Meta(max_length=MOST_INPUTS)] = []
    usage: Raw = NULL
    error: Raw = NULL


_answer: Final = msgspec.json.Decoder(_Answer)


class Moderations(Unstreamed):
    """An `Adapter`."""

    def to_vendor(self, request: ModerationRequest) -> WholeCall:
        members, dropped = members_for(request, self.binding.dialect, MODERATIONS, frozenset())
        return WholeCall(
            body_of(self.binding.upstream_model, members, input=request.input), self.path, request, dropped
        )

    def plain(self, call: WholeCall, body: bytes) -> ModerationAnswer:
        """Raises UpstreamError for an answer without a result for each input."""
        answer: _Answer = document(_answer, body, "list of moderation results")
        if answer.error != NULL:
            raise event_error(answer.error)
        verdicts = checked_verdicts(answer.results, call.request)
        return ModerationAnswer(self.public_model, answer.id, verdicts, prompt_usage(answer.usage))


API: Final = OperationAPI(MODERATIONS, Moderations, path="/moderations")
