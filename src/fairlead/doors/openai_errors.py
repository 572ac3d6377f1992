"""Error documents as OpenAI writes them, in all of its APIs."""

from __future__ import annotations

from typing import Final

import msgspec

from fairlead.errors import FairleadError

JSON_HEAD: Final = b"content-type: application/json\r\nx-content-type-options: nosniff\r\n"


def error_head(error: FairleadError) -> bytes:
    return JSON_HEAD + b"www-authenticate: Bearer\r\n" if error.status == 401 else JSON_HEAD


def error_body(error: FairleadError) -> bytes:
    """The JSON document `{"error": {...}}`: OpenAI's four members, and the error's details beside them. A numbered
    one has the status as its code and the code in `metadata`, as OpenRouter's clients require."""
    body: dict[str, object] = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    if error.numbered:
        body |= {"code": error.status, "metadata": {"code": error.code, "error_type": error.code}}
    return msgspec.json.encode({"error": {**body, **(error.details or {})}})
