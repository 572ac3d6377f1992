"""Every error that a caller can see, drawn first, then defined.

FairleadError
├── CallerError                     the request is at fault: never tried elsewhere
│   ├── InvalidRequest         400  invalid_request (names the parameter)
│   │   ├── NotCarried         400  invalid_request: strict mode; names all that would be lost
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
│   ├── RateLimited            429  rate_limit_exceeded: of the key, the account or the model; says when to come back
│   └── UpstreamRefused        4xx  upstream_refused: a provider says that this request is wrong
├── ServiceError                    this service cannot serve it now
│   ├── InternalError          500  internal_error
│   ├── NoDeployment           503  no_deployment
│   ├── CandidatesResting      503  candidates_resting: no healthy deployment
│   ├── DeadlineExceeded       504  deadline_exceeded: the time that the caller gave has passed
│   ├── EngineStarting         503  engine_starting
│   ├── Overloaded             503  overloaded
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
└── ConfigurationError              a file or variable is wrong; says where and how to mend it (never sent to callers)
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
        super().__init__(f"{where} cannot carry {shown} (strict mode).", param=names[0] if names else None)
        self.names = tuple(names)
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
    code = "budget_exceeded"


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
