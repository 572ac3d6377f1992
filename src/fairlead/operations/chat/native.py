"""Chat by requests that are kept in the caller's own bytes: what the middle asks is answered without translating them,
because a provider of the same API gets them as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fairlead.errors import CallerError
from fairlead.operations.chat.foreign import ForeignChat
from fairlead.operations.chat.prompt import KEPT_PROMPT_BYTES
from fairlead.routing.demand import Demand
from fairlead.routing.media_tokens import MOST_FILE_TOKENS, MOST_IMAGE_TOKENS_OF, MOST_VIDEO_TOKENS
from fairlead.routing.needs import MEDIA_NEEDS, PREFILL
from fairlead.routing.prompt import TEMPLATE_TOKENS, DeferredPrompt, Prompt
from fairlead.routing.upstream import MOST_CONTEXT_TOKENS
from fairlead.tokens import Counted
from fairlead.wire.native import NativeRequest

# A prompt to which the provider adds, by tools that it runs or a conversation that it keeps, may come to the longest
# context that there is; of a model whose own is known, to that.
BEYOND_TOKENS: Final = 1_000_000
_MOST_IMAGE_TOKENS: Final = max(MOST_IMAGE_TOKENS_OF.values())
_MOST_CONTEXT_TOKENS: Final = MOST_CONTEXT_TOKENS


class NativeChat(ForeignChat):
    """Its payload is a `NativeRequest`."""

    __slots__ = ()

    def parameters(self, payload: NativeRequest) -> int:
        """What its members ask for beside the conversation, as bits of `routing/needs.py`."""
        raise NotImplementedError

    def is_formatted(self, payload: NativeRequest) -> bool:
        """The answer is to be JSON."""
        raise NotImplementedError

    def choices(self, payload: NativeRequest) -> int:  # noqa: ARG002 - of APIs that have more than one
        return 1

    def later(self, payload: NativeRequest) -> Callable[[], Prompt]:
        """Makes its prompt when that is to be counted; the payload itself may have been released by then."""
        raise NotImplementedError

    def demand(self, payload: NativeRequest) -> Demand:  # type: ignore[override]
        if not payload.body:  # it was rewritten here
            return super().demand(payload)  # type: ignore[arg-type]
        template, found = payload.template, payload.contents
        if template is None:
            needs, formatted = self.parameters(payload), self.is_formatted(payload)
        else:
            if template.needs < 0:
                template.formatted = self.is_formatted(payload)
                template.needs = self.parameters(payload)
            needs, formatted = template.needs, template.formatted
        media = found.media
        if media:
            for bit, need in MEDIA_NEEDS.items():
                if media & bit:
                    needs |= need
        if found.prefilled:
            needs |= PREFILL
        length = payload.prompt_bytes
        demand = Demand(
            self, payload, payload.model, needs, media, length,
            length + BEYOND_TOKENS if payload.needs_provider else length, payload.cap, self.choices(payload),
            payload.stream, payload.strict, payload.emulate, formatted, payload.fallbacks,
            payload.preferences,
        )  # fmt: skip
        demand.notes = payload.notes
        return demand

    def affinity(self, payload: NativeRequest) -> int:  # type: ignore[override]
        return hash(bytes(payload.contents.opening)) or 1

    def media_tokens(self, payload: NativeRequest, image_tokens: int) -> int:  # type: ignore[override]
        found = payload.contents
        return found.images * image_tokens + found.files * MOST_FILE_TOKENS + found.videos * MOST_VIDEO_TOKENS

    def count(self, payload: NativeRequest, family: str | None, whole: bool) -> Counted:  # type: ignore[override]
        try:
            return super().count(payload, family, whole)  # type: ignore[arg-type]
        except CallerError:
            if not payload.needs_provider:
                raise
            return Counted(-(-payload.prompt_bytes // 4), "estimated")

    def kept(self, payload: NativeRequest) -> Prompt:  # type: ignore[override]
        prompt: Prompt
        if payload.translated is not None:
            prompt = super().kept(payload)  # type: ignore[arg-type]
        else:
            length, choices = payload.prompt_bytes, self.choices(payload)
            most = length + TEMPLATE_TOKENS
            if payload.contents.media:
                most += self.media_tokens(payload, _MOST_IMAGE_TOKENS)
            if length <= KEPT_PROMPT_BYTES and choices == 1:
                prompt = DeferredPrompt(length, most, payload.cap, self.later(payload))
            else:
                prompt = Prompt(length, most, payload.cap, choices)
        if payload.needs_provider:
            prompt.most = _MOST_CONTEXT_TOKENS
        return prompt
