"""Exceptions of Converse, in a stream or in the header x-amzn-errortype."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.errors import FairleadError
from fairlead.providers.failures import upstream_error

# Exceptions, in a stream or in the header x-amzn-errortype, by the status that they stand for.
STATUSES = {
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "UnrecognizedClientException": 403,
    "ResourceNotFoundException": 404,
    "ThrottlingException": 429,
    "ServiceQuotaExceededException": 429,
    "ModelNotReadyException": 429,
    "ModelErrorException": 500,
    "ModelStreamErrorException": 500,
    "ModelTimeoutException": 500,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}


def failure(name: str, payload: bytes, headers: Sequence[tuple[bytes, bytes]] = (), status: int = 500) -> FairleadError:
    named = name.partition(":")[0].rpartition("#")[2]
    return upstream_error(STATUSES.get(named[:1].upper() + named[1:], status), headers, payload)
