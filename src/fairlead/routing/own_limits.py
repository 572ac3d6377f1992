"""A deployment with a limit of its own gets no call without a cap: what its provider would do is not left to chance."""

from __future__ import annotations

from msgspec import Raw

from fairlead.routing.ceiling import LEAST_OUTPUT_TOKENS, cap_name, named_cap
from fairlead.routing.counting import SPARE_TOKENS
from fairlead.routing.upstream import Upstream
from fairlead.wire.chat import ChatRequest


def within(request: ChatRequest, output: int) -> bool:
    """Whether the request has a cap that such a limit allows."""
    named = named_cap(request)
    return named is not None and named <= output


def capped(request: ChatRequest, upstream: Upstream, prompt_tokens: int) -> ChatRequest:
    """The request with a cap that this deployment allows; `upstream.output` is its limit. A caller's cap above it has
    been refused by the plan, so that only one that was set aside for another deployment is made smaller here.

    Without a cap the answer gets what the prompt leaves of the context: an engine refuses a cap that does not fit.
    """
    most = upstream.output
    assert most is not None
    if within(request, most):
        return request
    if named_cap(request) is None and upstream.context is not None and not request.media:
        room = upstream.context - prompt_tokens - SPARE_TOKENS - prompt_tokens // 32
        most = min(most, max(LEAST_OUTPUT_TOKENS, room))
    changed = request.copy()
    changed.given = {**request.given, cap_name(request): Raw(b"%d" % most)}
    changed.cap = most
    return changed
