"""Signatures are those that botocore makes."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from fairlead.providers.bedrock.sigv4 import Signer


@pytest.mark.parametrize("token", ["", "session+token/=="])
@pytest.mark.parametrize(
    "model", ["amazon.nova-pro-v1:0", "arn:aws:bedrock:us-east-1:1:inference-profile/eu.x", "a b~c"]
)
def test_a_signature_is_the_one_that_botocore_makes(monkeypatch: pytest.MonkeyPatch, model: str, token: str) -> None:
    now = datetime(2026, 11, 24, 9, 8, 7, tzinfo=UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: now.replace(tzinfo=None))
    host, body = "bedrock-runtime.us-east-1.amazonaws.com", b'{"messages":[]}'
    path = f"/model/{quote(model, safe='')}/converse"
    request = botocore.awsrequest.AWSRequest("POST", f"https://{host}{path}", {}, body)
    credentials = botocore.credentials.Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI", token or None)
    botocore.auth.SigV4Auth(credentials, "bedrock", "us-east-1").add_auth(request)
    signer = Signer("AKIDEXAMPLE", "wJalrXUtnFEMI", token, region="us-east-1", service="bedrock", host=host)
    for _ in range(2):  # the second time with the day's key
        lines = signer.headers("POST", path, (body,), now.timestamp()).decode().split("\r\n")[:-1]
        ours = dict(line.split(": ", 1) for line in lines)
        assert ours.pop("authorization") == request.headers["Authorization"]
        assert ours == {
            name.lower(): value for name, value in request.headers.items() if name.lower().startswith("x-amz-")
        }
