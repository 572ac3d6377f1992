"""Where the key of a Messages call stands."""

from __future__ import annotations

import pytest

from fairlead.doors.messages.credential import api_key
from fairlead.errors import Unauthenticated
from fairlead.http.request import Request


def key(**headers: str) -> bytes | None:
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return api_key(Request("POST", b"/v1/messages", lines, b"", "1.1"))


def test_either_header_will_do() -> None:
    assert key() is None
    assert key(x_api_key="sk-fl-a") == b"sk-fl-a"
    assert key(authorization="Bearer sk-fl-b") == b"sk-fl-b"
    assert key(authorization="bearer  sk-fl-b ") == b"sk-fl-b"


def test_of_two_keys_the_one_that_was_made_here_counts() -> None:
    assert key(x_api_key="sk-ant-1", authorization="Bearer sk-fl-b") == b"sk-fl-b"
    assert key(x_api_key="sk-fl-a", authorization="Bearer sk-ant-oat") == b"sk-fl-a"
    assert key(x_api_key="imported", authorization="Bearer other") == b"imported"
    assert key(x_api_key="", authorization="Bearer other") == b"other"


def test_another_scheme_alone_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        key(authorization="Basic abc")
    assert key(x_api_key="sk-fl-a", authorization="Basic abc") == b"sk-fl-a"
