"""Every error that a caller can see, drawn first, then defined.

FairleadError
├── CallerError                     the request is at fault: never tried elsewhere
│   ├── InvalidRequest         400  invalid_request (names the parameter)
│   │   ├── NotCarried         400  invalid_request: strict mode; names all that would be lost
│   │   ├── NotTranslated      400  invalid_request: what only a provider of the caller's own API has; names it
│   │   ├── ContextTooLong     400  context_length_exceeded
│   │   └── UnsupportedContent 400  unsupported_content
│   ├── Unauthenticated        401  invalid_api_key
│   ├── InsufficientCredit     402  insufficient_credit: says what was needed, what is there and what would fit
│   │   └── BudgetExceeded     402  budget_exceeded: the same of a budget
│   ├── Forbidden              403  forbidden
│   ├── NotFound               404  not_found
│   │   └── ModelNotFound      404  model_not_found
│   ├── NoCandidate            404  no_candidate: no deployment is what the request wants; says why of each
│   ├── MethodNotAllowed       405  method_not_allowed
│   ├── VersionConflict        412  version_conflict: another version was added since the one that was planned for
│   ├── RequestTooLarge        413  request_too_large: once it is decoded
│   ├── UnsupportedEncoding    415  unsupported_encoding
│   ├── WebSocketRefused       426  websocket_not_supported: the same endpoint answers over HTTP
│   ├── RateLimited            429  rate_limit_exceeded: of the key, the account or the model; says when to come back
│   └── UpstreamRefused        4xx  upstream_refused: a provider says that this request is wrong
├── ServiceError                    this service cannot serve it now
│   ├── InternalError          500  internal_error
│   ├── NoDeployment           503  no_deployment
│   ├── CandidatesResting      503  candidates_resting: no healthy deployment
│   ├── DeadlineExceeded       504  deadline_exceeded: the time that the caller gave has passed
│   ├── EngineStarting         503  engine_starting
│   ├── Overloaded             503  overloaded
│   ├── KeysUnavailable        503  keys_unavailable: the key is not in memory and the database cannot be read
│   ├── LedgerUnavailable      503  ledger_unavailable: usage cannot be recorded, so nothing paid is served
│   └── ShuttingDown           503  shutting_down
├── UpstreamError                   one attempt failed: another candidate may help
│   ├── UpstreamUnreachable    502  upstream_unreachable
│   ├── UpstreamTimeout        504  upstream_timeout
│   ├── UpstreamBusy           503  upstream_busy: our own bounded queue in front of it is full
│   ├── UpstreamRateLimited    429  upstream_rate_limited
│   ├── UpstreamDenied         502  upstream_denied: 401, 402 or 403 of our credential there
│   ├── UpstreamFailed         502  upstream_failed: its 5xx
│   ├── UpstreamInvalid        502  upstream_invalid: an answer that breaks the protocol
│   │   └── AnswerInvalid      502  answer_invalid: it does not conform to the schema that was asked for
│   └── UpstreamCut            502  upstream_cut: the answer ended before it was complete
│       └── EngineCrashed      502  engine_crashed
├── CallerGone             499  caller_gone: disconnected before the answer was complete; recorded, never sent
└── ConfigurationError              a file or variable is wrong; says where, and how to correct it (never sent to
callers)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

# What an error says about the deployment whose attempt ended with it.
Verdict = Literal["nothing", "works", "slow", "failed", "unreachable", "limited", "denied"]


class FailurePolicy(NamedTuple):
    """What is done about an attempt that ends with an error: `elsewhere`, the next candidate is tried at once; `again`,
    when none is left, this one is, after a pause. Neither: the caller gets the error.

    `verdict`, for the health of the deployment: "works", it understood the request; "slow", it is not known to be
    broken; "failed"; "unreachable", so is its provider; "limited", it rests as long as it says; "denied", its provider
    rests, whose credential it is.
    """

    elsewhere: bool = False
    again: bool = False
    verdict: Verdict = "nothing"


TOLD: Final = FailurePolicy()
ELSEWHERE: Final = FailurePolicy(elsewhere=True)
FAILED: Final = FailurePolicy(elsewhere=True, again=True, verdict="failed")
# It would fail again: it has had its time, or does not speak our language and will not learn it now.
FAILED_FOR_GOOD: Final = FailurePolicy(elsewhere=True, verdict="failed")


class FairleadError(Exception):
    """An error with the HTTP status and the code that callers see.

    `message` is a whole sentence for people, `param` the name of the request's parameter at fault,
    `retry_after_seconds` becomes a Retry-After header.
    """

    status = 500
    code = "internal_error"
    type = "api_error"
    policy: FailurePolicy = TOLD  # of an attempt that ends with it

    headers = b""  # more lines for the answer's head
    details: Mapping[str, object] | None = None  # more members for the error's body, for programs
    # For callers who read the status as `code`, as OpenRouter's do. Set where the error is answered.
    numbered = False
    # What the provider has written, for callers who speak the same API (`wire/apis.py`): they read it as it came.
    native_api = ""
    native_body = b""

    def __init__(self, message: str, *, param: str | None = None, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_seconds = retry_after_seconds


class CallerError(FairleadError):
    policy = FailurePolicy(verdict="works")
    status = 400
    type = "invalid_request_error"


class InvalidRequest(CallerError):
    code = "invalid_request"


class NotCarried(InvalidRequest):
    """Strict mode: parameters that the provider does not carry as they are. `details`: `parameters`, all of them."""

    policy = ELSEWHERE  # strict mode: others may have words for it

    def __init__(self, names: Sequence[str], where: str = "This model's provider") -> None:
        shown = ", ".join(repr(name) for name in names)
        super().__init__(f"{where} does not support {shown} (strict mode).", param=names[0] if names else None)
        self.names = tuple(names)
        self.details = {"parameters": list(names)}


class NotTranslated(InvalidRequest):
    """What the caller's API has and no other. `names`: of members, such as `tools.web_search`; `details`: the same."""

    policy = ELSEWHERE  # another candidate may speak the caller's API

    def __init__(self, names: Sequence[str], message: str) -> None:
        super().__init__(message, param=names[0].partition(".")[0])
        self.details = {"parameters": list(names)}


class ContextTooLong(InvalidRequest):
    code = "context_length_exceeded"


class UnsupportedContent(InvalidRequest):
    code = "unsupported_content"


class Unauthenticated(CallerError):
    status = 401
    code = "invalid_api_key"
    type = "authentication_error"


class InsufficientCredit(CallerError):
    """`details`: `needed_usd` and `available_usd` as decimal strings, `largest_max_tokens` (0: none would fit)."""

    status = 402
    code = "insufficient_credit"
    type = "insufficient_quota"

    def __init__(self, message: str, details: Mapping[str, object], *, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.details = details


class BudgetExceeded(InsufficientCredit):
    """`scope`: the name of the budget."""

    code = "budget_exceeded"
    scope = ""


class Forbidden(CallerError):
    status = 403
    code = "forbidden"
    type = "permission_error"


class NotFound(CallerError):
    status = 404
    code = "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class NoCandidate(CallerError):
    status = 404
    code = "no_candidate"


class MethodNotAllowed(CallerError):
    status = 405
    code = "method_not_allowed"


class VersionConflict(CallerError):
    status = 412
    code = "version_conflict"


class IdempotencyConflict(CallerError):
    """409: the first request with this Idempotency-Key is still in progress; 422: it was another request."""

    status = 409
    code = "idempotency_conflict"

    def __init__(self, message: str, *, status: int = 409) -> None:
        super().__init__(message, retry_after_seconds=1 if status == 409 else None)
        self.status = status


class RequestTooLarge(CallerError):
    status = 413
    code = "request_too_large"


class UnsupportedEncoding(CallerError):
    status = 415
    code = "unsupported_encoding"


class WebSocketRefused(CallerError):
    """Clients that try a WebSocket first (Codex) fall back to HTTP at once when they get this status, and no other."""

    status = 426
    code = "websocket_not_supported"
    headers = b"upgrade: HTTP/1.1\r\n"


class RateLimited(CallerError):
    policy = ELSEWHERE  # of one model: the caller may have named another one
    status = 429
    code = "rate_limit_exceeded"
    type = "rate_limit_error"


class UpstreamRefused(CallerError):
    """A provider's 4xx about the request itself. `status` is the provider's own."""

    code = "upstream_refused"

    def __init__(self, message: str, *, status: int, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.status = status
        if code is not None:
            self.code = code


class ServiceError(FairleadError):
    status = 503
    type = "service_unavailable"


class InternalError(ServiceError):
    status = 500
    code = "internal_error"
    type = "api_error"


class NoDeployment(ServiceError):
    code = "no_deployment"


class CandidatesResting(ServiceError):
    code = "candidates_resting"


class DeadlineExceeded(ServiceError):
    policy = FailurePolicy(verdict="slow")
    status = 504
    code = "deadline_exceeded"
    type = "timeout_error"


class EngineStarting(ServiceError):
    policy = ELSEWHERE
    code = "engine_starting"


class Overloaded(ServiceError):
    code = "overloaded"


class KeysUnavailable(ServiceError):
    code = "keys_unavailable"


class LedgerUnavailable(ServiceError):
    code = "ledger_unavailable"


class ShuttingDown(ServiceError):
    code = "shutting_down"


class UpstreamError(FairleadError):
    policy = FAILED
    status = 502
    type = "upstream_error"


class UpstreamUnreachable(UpstreamError):
    policy = FailurePolicy(elsewhere=True, again=True, verdict="unreachable")
    code = "upstream_unreachable"


class UpstreamTimeout(UpstreamError):
    policy = FAILED_FOR_GOOD
    status = 504
    code = "upstream_timeout"


class UpstreamBusy(UpstreamError):
    policy = ELSEWHERE  # our own queue: it has waited there already
    status = 503
    code = "upstream_busy"


class UpstreamRateLimited(UpstreamError):
    policy = FailurePolicy(elsewhere=True, again=True, verdict="limited")
    status = 429
    code = "upstream_rate_limited"
    type = "rate_limit_error"


class UpstreamDenied(UpstreamError):
    policy = FailurePolicy(elsewhere=True, verdict="denied")
    code = "upstream_denied"


class UpstreamFailed(UpstreamError):
    code = "upstream_failed"


class UpstreamInvalid(UpstreamError):
    policy = FAILED_FOR_GOOD
    code = "upstream_invalid"


class AnswerInvalid(UpstreamInvalid):
    policy = ELSEWHERE
    code = "answer_invalid"


class UpstreamCut(UpstreamError):
    code = "upstream_cut"


class EngineCrashed(UpstreamCut):
    policy = FAILED_FOR_GOOD  # the gate has tried it again already
    code = "engine_crashed"


class CallerGone(FairleadError):
    """The caller disconnected. Raised where its request waits; 499 is nginx's number for it and never sent."""

    status = 499
    code = "caller_gone"


class ConfigurationError(FairleadError):
    """A wrong setting. The text names the file and line (or the variable) and the fix."""

    code = "configuration_error"


class Explanation(NamedTuple):
    """A line of the error reference: what a code means, and what its reader does about it. Both are Markdown."""

    meaning: str
    action: str


# What the HTTP server rejects by itself, before there is a request to raise an error for.
HTTP_STATUSES: Final[Mapping[str, int]] = {"request_timeout": 408, "request_too_large": 413, "headers_too_large": 431}
EXPLANATIONS: Final[Mapping[str, Explanation]] = {
    "invalid_request": Explanation(
        "The request is malformed; `param` names the parameter. Also an invalid `Host` header or request target.",
        "Correct the request.",
    ),
    "context_length_exceeded": Explanation(
        "The prompt and the answer together exceed the context length of the model.",
        "Shorten the prompt, lower `max_tokens`, or use a model with a longer context.",
    ),
    "unsupported_content": Explanation(
        "A content part of an unknown type, a part that its message role does not allow, or input (image, audio, file, "
        "video) that the model does not accept. `param` names the part.",
        "Remove the part, or use another model.",
    ),
    "invalid_api_key": Explanation("The API key is missing, unknown, expired or revoked.", "Send a valid key."),
    "insufficient_credit": Explanation(
        "The call could cost more than the credit of the account. `needed_usd`, `available_usd` and "
        "`largest_max_tokens` are members of the error.",
        "Lower `max_tokens`, or add credit.",
    ),
    "budget_exceeded": Explanation(
        "The call could cost more than is left of a budget of the key or the account.",
        "Lower `max_tokens`, or wait for the next period.",
    ),
    "forbidden": Explanation(
        "The key may not use this model, or not from this network.", "Use another key, or ask the operator."
    ),
    "not_found": Explanation("There is no such path, or no call with this id.", "Correct it."),
    "model_not_found": Explanation("There is no such model.", "List the models with `GET /v1/models`."),
    "no_candidate": Explanation(
        "No deployment meets the requirements of the request: its `provider` preferences, or a feature that it needs "
        "(then the status is 400). The message gives the reason for each.",
        "Relax the preferences; `POST /v1/plan` shows the effect.",
    ),
    "method_not_allowed": Explanation(
        "The path does not support this method; `Allow` lists those it supports.", "Use a listed method."
    ),
    "idempotency_conflict": Explanation(
        "409: the first request with this `Idempotency-Key` is still in progress. 422: it was another request.",
        "409: retry after `Retry-After`. 422: use a new key for each request.",
    ),
    "websocket_not_supported": Explanation(
        "The request asks for a WebSocket. Clients that try one first (Codex) fall back to HTTP.",
        "Nothing; or turn WebSockets off in the client (`supports_websockets = false`).",
    ),
    "request_timeout": Explanation("The head or the body did not arrive in time.", "Send it faster."),
    "version_conflict": Explanation(
        "Another version of the configuration was applied since the one that this request was made for.",
        "Plan again, and apply with the number of the newest version.",
    ),
    "request_too_large": Explanation(
        "The body exceeds `max_body_bytes`, or 32 MiB once it is decompressed; a form with files exceeds "
        "`max_upload_bytes`.",
        "Send a smaller body.",
    ),
    "unsupported_encoding": Explanation(
        "The body is compressed in a way that is not supported.", "Send `gzip`, `zstd` or no `Content-Encoding`."
    ),
    "headers_too_large": Explanation(
        "The headers, or the metadata of a chunked body, exceed the limit.", "Send fewer or smaller headers."
    ),
    "rate_limit_exceeded": Explanation(
        "A rate limit of the key, the account or the model is reached, or too many emulated calls of the key failed. "
        "The message names the limit, `x-ratelimit-*` what is left.",
        "Retry after `Retry-After`.",
    ),
    "upstream_refused": Explanation(
        "The provider rejected the request as invalid. The status is the provider's own.",
        "Read the message of the provider.",
    ),
    "internal_error": Explanation(
        "A bug in Fairlead. The log has the traceback under the request id.", "Report it with the request id."
    ),
    "no_deployment": Explanation(
        "The model is in the catalogue and has no deployment here.", "Configure a deployment, or use another model."
    ),
    "candidates_resting": Explanation(
        "Every deployment of the model is out of use: its circuit breaker is open, or its provider limits the rate.",
        "Retry after `Retry-After`.",
    ),
    "deadline_exceeded": Explanation(
        "The deadline passed: `x-fairlead-timeout`, or that of the operator.", "Allow more time."
    ),
    "engine_starting": Explanation(
        "The local engine is not ready yet, or was given up after crashes; the message says which.",
        "Retry in a few seconds. After crashes: the operator restarts Fairlead.",
    ),
    "keys_unavailable": Explanation(
        "The key has not been used lately and the database cannot be read, so it cannot be checked.",
        "Retry after `Retry-After`.",
    ),
    "ledger_unavailable": Explanation(
        "Usage cannot be recorded, so no paid call is accepted.",
        "Retry after `Retry-After`. `/readyz` shows the operator why.",
    ),
    "overloaded": Explanation(
        "Too many requests in flight, too many JSON schemas of the key waiting to be checked, or no buffer left for "
        "request bodies (`max_buffered_bytes`).",
        "Retry after `Retry-After`.",
    ),
    "shutting_down": Explanation("The server is stopping.", "Retry."),
    "upstream_unreachable": Explanation("No connection to the provider could be opened.", "Retry."),
    "upstream_timeout": Explanation("The provider was too slow; the message names the phase.", "Retry."),
    "upstream_busy": Explanation("Too many calls are queued for the provider.", "Retry."),
    "upstream_rate_limited": Explanation("The provider limits the rate of this gateway.", "Retry after `Retry-After`."),
    "upstream_denied": Explanation("The provider rejected the credentials of this gateway.", "Tell the operator."),
    "upstream_failed": Explanation("The provider failed with a 5xx status.", "Retry."),
    "upstream_invalid": Explanation("The answer of the provider violates its protocol.", "Retry."),
    "answer_invalid": Explanation(
        "The answer of the model did not conform to the JSON schema, nor did the repaired one. The message names the "
        "keyword of the schema and quotes nothing of the answer.",
        "Retry, or use another model.",
    ),
    "upstream_cut": Explanation("The answer ended before it was complete.", "Retry."),
    "engine_crashed": Explanation("The local engine crashed and is being restarted.", "Retry."),
    "caller_gone": Explanation("The caller disconnected. Recorded, never sent.", "Nothing."),
    "configuration_error": Explanation(
        "A setting or an argument is wrong. Printed by commands, never sent to callers.", "Correct it as the text says."
    ),
}
