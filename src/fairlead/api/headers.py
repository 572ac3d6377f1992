"""Every header that callers send or receive, with its meaning: for cross-origin access and for the reference."""

from __future__ import annotations

from typing import Final, NamedTuple


class Header(NamedTuple):
    """`meaning` is Markdown. `exposed` (of a response): a browser may read it, where cross-origin access is allowed."""

    name: str
    meaning: str
    exposed: bool = True


REQUEST_HEADERS: Final = (
    Header("authorization", "`Bearer` and an API key."),
    Header("x-api-key", "An API key, for Anthropic's Messages."),
    Header("x-goog-api-key", "An API key, for Gemini's API."),
    Header("content-type", "`application/json`. It is not checked."),
    Header("content-encoding", "`gzip` or `zstd`, for `/v1/messages` and Gemini's API."),
    Header("anthropic-version", "Sent on to a provider that speaks Messages, as are all that begin with `anthropic-`."),
    Header("anthropic-beta", "The same."),
    Header(
        "x-fairlead-timeout",
        "Seconds that the answer may take, from 0.05 to 86,400, such as `30` or `2.5`. After that the call ends with "
        "`deadline_exceeded`.",
    ),
    Header(
        "traceparent",
        "The trace that the call belongs to (W3C Trace Context). Not sent on to providers.",
    ),
    Header(
        "x-claude-code-session-id",
        "The session of a call, recorded in its receipt and sent on only with `forward_sessions = true`; so are "
        "`session-id`, `session_id`, `x-session-id`, `conversation_id`, `thread-id` and `x-openwebui-chat-id`.",
    ),
    Header(
        "x-openwebui-user-id",
        "The user of a call, recorded in its receipt and sent on only with `forward_sessions = true`; so are "
        "`x-openwebui-user-email` and `x-openwebui-user-name`.",
    ),
    Header(
        "x-fairlead-content",
        "Where the organisation keeps the content of its calls: `omit` keeps nothing of this one, `omit-request` and "
        "`omit-answer` not that part. Helicone's `helicone-omit-request: true` and `helicone-omit-response: true` mean "
        "the same.",
    ),
    Header("if-none-match", "The `etag` of an earlier response: unchanged data is answered with 304."),
)
RESPONSE_HEADERS: Final = (
    Header("x-request-id", "On every response. Quote it when you report a problem; the log has it."),
    Header("request-id", "The same id, on answers of Anthropic's Messages."),
    Header("x-fairlead-generation-id", "The id of the call, for its receipt."),
    Header(
        "x-fairlead-cost", "The cost of a call in dollars, exact. Not on streams: their last chunk has it in `usage`."
    ),
    Header(
        "x-fairlead-deployment",
        "The deployment that served the call, `PROVIDER/UPSTREAM_MODEL`, percent-encoded.",
    ),
    Header(
        "x-fairlead-fallback",
        "`budget; model=ID`: a budget is used up, and the call went on with this model, which the budget names.",
    ),
    Header(
        "x-fairlead-dropped",
        "Parameters of the request that the deployment does not support, and reasoning that only another provider "
        "could read (`messages.reasoning`, `messages.thinking`, `input.reasoning`, `contents.thoughtSignature`), "
        "percent-encoded; at most 32.",
    ),
    Header(
        "x-fairlead-clamped",
        "Parameters that were reduced to a range: of the provider, or of what the account can afford.",
    ),
    Header("x-fairlead-emulated", "Features that the deployment lacks and that the gateway emulated."),
    Header(
        "x-fairlead-parameters",
        'With `"fairlead": {"parameters": true}`: the handling of each parameter, '
        "`forwarded=temperature; translated=max_tokens; clamped=...; emulated=n; dropped=min_p`.",
    ),
    Header("x-ratelimit-limit-requests", "The request limit with the least left, where there is one."),
    Header("x-ratelimit-remaining-requests", "Requests left of it."),
    Header("x-ratelimit-reset-requests", "Time until it is full again, such as `1s` or `6m0s`."),
    Header("x-ratelimit-limit-tokens", "The token limit with the least left, where there is one."),
    Header("x-ratelimit-remaining-tokens", "Tokens left of it."),
    Header("x-ratelimit-reset-tokens", "Time until it is full again."),
    Header("retry-after", "Seconds to wait, where waiting helps."),
    Header("www-authenticate", "`Bearer`, with 401.", exposed=False),
    Header("allow", "The methods of the path, with 405.", exposed=False),
    Header("etag", "The version of the data.", exposed=False),
    Header("x-accel-buffering", "`no`, on streams: nginx passes every event on at once.", exposed=False),
)
PROVIDER_HEADERS: Final = (
    Header("x-fairlead-probe", "`1`, on requests that test whether a deployment works again."),
    Header("x-fairlead-shadow", "`1`, on calls that are mirrored there (`[shadow]`)."),
    Header("x-session-id", "The session that the caller names, where the provider has `forward_sessions = true`."),
    Header("x-user-id", "The user, likewise. Characters other than printable ASCII are percent-encoded."),
)
ALLOWED_HEADERS: Final = b"authorization, content-type, x-request-id, x-fairlead-timeout, x-fairlead-content"
EXPOSED_HEADERS: Final = ", ".join(one.name for one in RESPONSE_HEADERS if one.exposed).encode()
