"""What a provider's error answer means: is the request at fault, our credential, its load, or itself?"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from fairlead.errors import (
    ContextTooLong,
    FairleadError,
    UpstreamDenied,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamRefused,
)
from fairlead.providers.scrub import scrubbed

LONGEST_MESSAGE, LONGEST_READ, LONGEST_PARAM = 1_000, 4_000, 200
LONGEST_RETRY_SECONDS = 86_400
LONGEST_DATE = 64
_CONTEXT = re.compile(
    r"context[ _]length|context[ _]size|context window|maximum context|too many tokens|prompt is too long|"
    r"longer than the (?:maximum )?(?:model|context)|exceed_context_size|exceed context limit|input is too long|"
    r"exceeds the maximum number of (?:input )?tokens",
    re.IGNORECASE,
)
# A 400 that is no fault of the request: Anthropic's account without credit, Gemini's wrong key.
_DENIED = re.compile(r"credit balance is too low|API key not valid|API key expired", re.IGNORECASE)
_RETRY_DELAY = re.compile(rb'"retryDelay"\s*:\s*"(\d{1,6})(?:\.\d+)?s"')  # google.rpc.RetryInfo
# What OpenAI calls faults of a request: callers' programs branch on these.
REQUEST_CODES = frozenset({
    "array_above_max_length", "array_below_min_length", "bad_image", "content_filter", "content_policy_violation",
    "data_inspection_failed", "decimal_above_max_value", "decimal_below_min_value", "empty_image_file",
    "failed_to_download_image", "image_content_policy_violation", "image_file_not_found", "image_file_too_large",
    "image_parse_error", "image_too_large", "image_too_small", "integer_above_max_value", "integer_below_min_value",
    "invalid_base64_image", "invalid_function_parameters", "invalid_image", "invalid_image_format",
    "invalid_image_mode", "invalid_image_url", "invalid_json_schema", "invalid_prompt", "invalid_type", "invalid_value",
    "missing_required_parameter", "moderation_blocked", "responsible_ai_policy_violation", "string_above_max_length",
    "string_below_min_length", "unknown_parameter", "unsupported_image_media_type", "unsupported_parameter",
    "unsupported_value",
})  # fmt: skip
CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"})
# OpenAI says with a 429 that the operator's account has no money left, where other providers say 402.
UNPAID_CODES = frozenset({"billing_hard_limit_reached", "insufficient_quota"})
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]+")


def upstream_error(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
    """The error of our tree for a provider's answer with a status other than 200."""
    message, code, param = _details(body)
    if status == 400 and _DENIED.search(message):
        status = 401
    if status == 429 and code in UNPAID_CODES:  # waiting does not help
        status = 402
    if status in (401, 402, 403):  # why is the operator's business
        return UpstreamDenied(f"The provider refused this gateway's credential or account (status {status}).")
    error: FairleadError
    if status in (400, 413, 422):
        if code in CONTEXT_CODES or _CONTEXT.search(message):
            error = ContextTooLong(
                message or "Prompt and answer are longer than the model's context.", param="messages"
            )
        else:
            error = UpstreamRefused(
                message or f"The provider refused this request (status {status}).", status=status, param=param,
                code=code if code in REQUEST_CODES else None,
            )  # fmt: skip
    elif status in (408, 429):
        error = UpstreamRateLimited(
            "The provider limits how often this gateway may call.",
            retry_after_seconds=retry_after(headers) or _retry_delay(body),
        )
    else:
        error = UpstreamFailed(f"The provider failed (status {status}).", retry_after_seconds=retry_after(headers))
    if code is not None:
        error.details = {"provider_code": code, "fairlead_code": type(error).code}
    return error


def retry_after(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    """Retry-After in whole seconds, given as seconds or as a date."""
    for name, value in headers:
        if name == b"retry-after":
            text = value.decode("latin-1").strip()
            try:
                seconds = float(text)
            except ValueError:
                seconds = _until(text)
            if seconds != seconds:  # not a number
                return None
            return int(min(max(seconds, 0), LONGEST_RETRY_SECONDS) + 0.999)
    return None


def _until(date: str) -> float:
    """The seconds until a date; not a number for what is none that a clock can show."""
    try:
        return parsedate_to_datetime(date[:LONGEST_DATE]).timestamp() - time.time()
    except (ValueError, OverflowError, TypeError, IndexError, OSError):
        return math.nan


def _retry_delay(body: bytes) -> int | None:
    found = _RETRY_DELAY.search(body)
    return None if found is None else min(int(found[1]) + 1, LONGEST_RETRY_SECONDS)


def _details(body: bytes) -> tuple[str, str | None, str | None]:
    """(message, code, param) of the error shapes of OpenAI, vLLM, Mistral, FastAPI, Anthropic, Google and AWS."""
    try:
        answer: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return "", None, None
    if isinstance(answer, list) and answer:  # Gemini's, where a stream was asked for without alt=sse
        answer = answer[0]
    if not isinstance(answer, dict):
        return "", None, None
    error = answer.get("error", answer)
    if isinstance(error, str):
        return _bounded(error), None, None
    if not isinstance(error, dict):
        return "", None, None
    message = error.get("message") or error.get("detail") or error.get("Message") or ""
    if not isinstance(message, str):
        message = msgspec.json.encode(message).decode()
    code, kind, param = error.get("code"), error.get("type"), error.get("param")
    named = next((one for one in (code, kind) if isinstance(one, str) and _CODE.fullmatch(one)), None)
    return (
        _bounded(message),
        None if named is None or scrubbed(named) != named else named,
        _bounded(param)[:LONGEST_PARAM] if isinstance(param, str) else None,
    )


def _bounded(message: str) -> str:
    """Without keys and addresses; those are looked for in more than is shown, so that none is cut in two."""
    return scrubbed(_CONTROL_CHARACTERS.sub(" ", message[:LONGEST_READ]))[:LONGEST_MESSAGE].strip()
