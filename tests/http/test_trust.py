"""The authorities of the machine are read once, however many providers and addresses there are."""

from __future__ import annotations

import ssl

import pytest
from tests.http.support import pool_to

from fairlead.http import trust


def test_https_providers_share_what_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    genuine = ssl.create_default_context

    def counted(*arguments: object) -> ssl.SSLContext:
        made.append(arguments)
        return genuine()

    trust.machine_trust.cache_clear()
    monkeypatch.setattr(ssl, "create_default_context", counted)
    contexts = {pool_to(f"https://provider{at}.example/v1").address.tls for at in range(20)}
    assert len(made) == 1
    (context,) = contexts
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    own = genuine()
    assert pool_to("https://other.example", tls=own).address.tls is own
