"""Amazon's Signature Version 4 for one service and region. Pure: the time is given.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html; the tests compare
with botocore's signer.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"


class Signer:
    """Signs requests to one host. `host` is what the Host header says, `access_key_id` and the rest are AWS's words."""

    __slots__ = ("_day", "_host", "_key", "_key_id", "_scope", "_secret", "_token")

    def __init__(
        self, access_key_id: str, secret_access_key: str, session_token: str, *, region: str, service: str, host: str
    ) -> None:
        self._key_id = access_key_id
        self._secret = secret_access_key
        self._token = session_token
        self._scope = (region, service)
        self._host = host
        self._day = ""
        self._key = b""

    def headers(self, method: str, path: str, body: Iterable[bytes | memoryview], now: float) -> bytes:
        """The header lines that sign this request at `now` (seconds since 1970). `path` as it is sent, no query."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        digest = hashlib.sha256()
        for piece in body:
            digest.update(piece)
        signed = [("host", self._host), ("x-amz-date", stamp)]
        if self._token:
            signed.append(("x-amz-security-token", self._token))
        names = ";".join(name for name, _ in signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed)
        # Every service but S3 wants the path encoded once more.
        canonical = f"{method}\n{quote(path, safe='/-_.~')}\n\n{lines}\n{names}\n{digest.hexdigest()}"
        scope = f"{stamp[:8]}/{self._scope[0]}/{self._scope[1]}/aws4_request"
        text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(self._signing_key(stamp[:8]), text.encode(), hashlib.sha256).hexdigest()
        sent = "".join(f"{name}: {value}\r\n" for name, value in signed[1:])
        credential = f"Credential={self._key_id}/{scope}"
        sent += f"authorization: {ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}\r\n"
        return sent.encode()

    def _signing_key(self, day: str) -> bytes:
        if day != self._day:
            key = b"AWS4" + self._secret.encode()
            for part in (day, *self._scope, "aws4_request"):
                key = hmac.new(key, part.encode(), hashlib.sha256).digest()
            self._day, self._key = day, key
        return self._key
