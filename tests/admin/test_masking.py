"""A document as it is shown: every place where a secret may stand is hidden, and the rest is as it was written."""

from __future__ import annotations

import tomllib

import pytest

from fairlead.admin.masking import MASK, is_masked, masked
from fairlead.settings import secret_settings

SECRET = "s3cr3t-value"


@pytest.mark.parametrize(
    "text",
    [
        'providers = [{ id = "a", api_key = "%s" }, { id = "b" }]',
        '[[providers]]\nid = "a"\n[[providers]]\nid = "b"\n"api_key" = "%s" # of b',
        "[[providers]]\nid = 'a'\napi_key = '%s'",
        '[[providers]]\nid = "a"\napi_keys = [{ sealed = "x" }, "%s"]',
        '[[providers]]\nid = "a"\napi_key = { command = ["get", "%s"] }',
        '[[providers]]\nid = "a"\napi_key = """%s"""',
        '[[providers]]\nid = "a"\nsecret_access_key = "%s"\naccess_key_id = "%s"\nsession_token = "%s"',
        '[database]\nurl = "postgresql://u:%s@h/d"',
        'database.url = "postgresql://u:%s@h/d"',
        '[limits]\nvalkey = "valkey://:%s@h"',
        'telemetry.otlp_headers.x-key = "%s"',
        '[telemetry]\notlp_headers = { "x-key" = "%s", env = "%s" }',
        '[telemetry.otlp_headers]\nx-key = "%s"',
        '# api_key = "%s"',
        "# the password: %s",
        '[[providers]]\napi_key = "%s"\n# and %s too',
        "[server]\nmax_body_bytes = 1 # token=%s",
        "# see https://user:%s@host/",
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(text: str) -> None:
    shown = masked(text.replace("%s", SECRET))
    assert SECRET not in shown
    tomllib.loads(shown)


def test_keys_in_comments_are_known_by_their_shape() -> None:
    for key in (
        "sk-proj-abcdefgh12345678",
        "AKIAIOSFODNN7EXAMPLE",
        "hf_abcdefghijklmnop",
        "0123456789abcdef0123456789",
    ):
        assert key not in masked(f"# was {key} before\n[server]\n")


def test_everything_else_is_as_it_was_written() -> None:
    text = (
        "# The gateway of the office, since 2026-11-30.\n[server]\nmax_body_bytes = 1_000_000   # bytes\n\n"
        '[[providers]]\nid = "a"\napi_key = { env = "A_KEY" }\nbase_url = "http://a:8000/v1"\n'
        '[telemetry.otlp_headers.x-key]\nenv = "OTLP"\n'
        '[[models]]\nid = "m"\ndescription = "says api_key = sk-proj-abcdefgh12345678"\n'
    )
    assert masked(text) == text
    assert masked(text + '[database]\nurl = "x"\n') == text + f"[database]\nurl = {MASK}\n"


def test_what_was_shown_is_known_again() -> None:
    text = f'[[providers]]\nid = "a"\nbase_url = "http://a/v1"\napi_key = "{SECRET}"\n'
    assert not is_masked(text)
    assert is_masked(masked(text))


def test_every_setting_that_may_hold_a_secret_is_declared_as_one() -> None:
    assert secret_settings() == {
        ("database", "url"),
        ("limits", "valkey"),
        ("telemetry", "otlp_headers"),
        ("alerts", "webhook"),
        ("console", "oidc"),
        ("console", "github"),
        ("providers", "api_key"),
        ("providers", "api_keys"),
        ("providers", "access_key_id"),
        ("providers", "secret_access_key"),
        ("providers", "session_token"),
    }


def test_the_url_of_a_webhook_is_hidden_and_where_its_secret_is_shown() -> None:
    text = "[alerts]\nwebhook = { url = 'https://hooks.example.org/T0KEN', secret = { env = 'HOOK' } }\n"
    assert masked(text) == text.replace("'https://hooks.example.org/T0KEN'", '"(hidden)"')
