"""OpenRouter's management API with only the base URL changed: its own SDK is the caller, and checks what it gets."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import openrouter
import openrouter.errors
import pytest
from tests.e2e.conftest import eventually

from .conftest import Api

# Its own, of a member that it still requires.
pytestmark = pytest.mark.filterwarnings("ignore:.*DEPRECATED:DeprecationWarning")


@pytest.fixture(scope="module")
def sdk(api: Api) -> Iterator[openrouter.OpenRouter]:
    with openrouter.OpenRouter(api_key=api.key, server_url=f"{api.served.url}/api/v1", retry_config=None) as client:
        yield client


def test_keys_are_created_listed_changed_and_deleted(api: Api, sdk: openrouter.OpenRouter) -> None:
    ends = datetime.now(UTC) + timedelta(days=30)
    made = sdk.api_keys.create(name="from the sdk", limit=2.5, limit_reset="monthly", expires_at=ends)
    assert made.data.hash == hashlib.sha256(made.key.encode()).hexdigest()
    assert (made.data.name, made.data.limit, made.data.limit_reset) == ("from the sdk", 2.5, "monthly")
    assert (made.data.limit_remaining, made.data.usage, made.data.disabled) == (2.5, 0, False)
    assert abs((made.data.expires_at - ends).total_seconds()) < 1
    assert api.chat(made.key)[0] == 200
    assert made.data.hash in [one.hash for one in sdk.api_keys.list().data]
    eventually(lambda: sdk.api_keys.get(hash=made.data.hash).data.usage > 0)
    one = sdk.api_keys.get(hash=made.data.hash).data
    assert one.usage == one.usage_daily == one.usage_weekly == one.usage_monthly
    assert one.limit_remaining == pytest.approx(2.5 - one.usage)
    assert one.last_used_at.date() == datetime.now(UTC).date()
    changed = sdk.api_keys.update(hash=made.data.hash, name="renamed", limit=1, limit_reset=None, disabled=True).data
    assert (changed.name, changed.limit, changed.limit_reset, changed.disabled) == ("renamed", 1, None, True)
    eventually(lambda: api.chat(made.key)[0] == 401)
    assert made.data.hash not in [one.hash for one in sdk.api_keys.list().data]
    assert made.data.hash in [one.hash for one in sdk.api_keys.list(include_disabled=True).data]
    sdk.api_keys.update(hash=made.data.hash, disabled=False)
    eventually(lambda: api.chat(made.key)[0] == 200)
    assert sdk.api_keys.delete(hash=made.data.hash).DELETED is True
    eventually(lambda: api.chat(made.key)[0] == 401)
    for gone in (lambda: sdk.api_keys.get(hash=made.data.hash), lambda: sdk.api_keys.delete(hash=made.data.hash)):
        with pytest.raises(openrouter.errors.NotFoundResponseError):
            gone()


def test_the_current_key_is_shown_to_both_kinds(api: Api, sdk: openrouter.OpenRouter) -> None:
    mine = sdk.api_keys.get_current_key_metadata().data
    assert (mine.is_management_key, mine.limit) == (True, None)
    made = sdk.api_keys.create(name="caller", limit=1, limit_reset="daily")
    with openrouter.OpenRouter(api_key=made.key, server_url=f"{api.served.url}/api/v1", retry_config=None) as caller:
        shown = caller.api_keys.get_current_key_metadata().data
        assert (shown.is_management_key, shown.limit, shown.limit_reset) == (False, 1, "daily")
        assert shown.budgets[0].reset_interval == "daily"
        with pytest.raises(openrouter.errors.OpenRouterDefaultError) as refused:
            caller.api_keys.list()
        assert "management key" in str(refused.value)


def test_credits_and_activity(api: Api, sdk: openrouter.OpenRouter) -> None:
    account = api("POST", "/v1/admin/accounts", {"name": "active", "credit_usd": "3"}).data["id"]
    made = sdk.api_keys.create(name="active", workspace_id=account)
    assert made.data.workspace_id == account
    for _ in range(3):
        assert api.chat(made.key)[0] == 200
    today = datetime.now(UTC).date().isoformat()

    def counted() -> bool:
        rows = sdk.analytics.get_user_activity(request={"date_": today, "api_key_hash": made.data.hash}).data
        return [(row.requests, row.model, row.provider_name) for row in rows] == [(3, "mistral-small-3.2", "mock")]

    eventually(counted)
    (row,) = sdk.analytics.get_user_activity(request={"api_key_hash": made.data.hash}).data
    assert (row.date_, row.prompt_tokens > 0, row.completion_tokens > 0, row.usage > 0) == (today, True, True, True)
    found = sdk.credits.get_credits().data
    assert found.total_credits >= 3
    assert found.total_usage >= row.usage
    assert sdk.analytics.get_user_activity(request={"date_": "2020-01-01"}).data == []


def test_lists_and_a_generation(api: Api, sdk: openrouter.OpenRouter) -> None:
    assert [one.slug for one in sdk.providers.list().data] == ["mock"]
    assert sdk.models.count().data.count == 1
    assert sdk.endpoints.list_zdr_endpoints().data == []
    key = api("POST", "/v1/admin/keys", {"name": "g"}).body["key"]
    generation = api.chat(key)[1]["x-fairlead-generation-id"]
    with openrouter.OpenRouter(api_key=key, server_url=f"{api.served.url}/api/v1", retry_config=None) as caller:
        found = caller.generations.get_generation(id=generation).data
    assert (found.id, found.model, found.provider_name) == (generation, "mistral-small-3.2", "mock")
    assert found.provider_responses[0].status == 200


def pkce() -> tuple[str, str]:
    verifier = secrets.token_urlsafe(48)
    return verifier, base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize("method", ["S256", "plain"])
def test_a_code_is_exchanged_once_for_a_key_of_the_account(api: Api, sdk: openrouter.OpenRouter, method: str) -> None:
    account = api("POST", "/v1/admin/accounts", {"name": "app", "credit_usd": "1"}).data["id"]
    verifier, challenge = pkce()
    if method == "plain":
        challenge = verifier
    code = sdk.o_auth.create_auth_code(
        callback_url="https://app.example/cb", code_challenge=challenge, code_challenge_method=method,
        workspace_id=account, limit=0.5, usage_limit_type="daily", key_label="my app",
    ).data.id  # fmt: skip
    wrong = api("POST", "/v1/auth/keys", {"code": code, "code_verifier": pkce()[0]}, key="")
    assert wrong.status == 403
    done = sdk.o_auth.exchange_auth_code_for_api_key(code=code, code_verifier=verifier, code_challenge_method=method)
    assert done.user_id == account
    assert api.chat(done.key)[0] == 200
    again = api("POST", "/v1/auth/keys", {"code": code, "code_verifier": verifier}, key="")
    assert again.status == 403
    entry = api("GET", f"/v1/keys/{hashlib.sha256(done.key.encode()).hexdigest()}").data
    assert (entry["name"], entry["limit"], entry["limit_reset"]) == ("my app", 0.5, "daily")
    log = str(api("GET", f"/v1/admin/audit?account={account}").body)
    assert "authorization_code.exchange" in log
    assert code not in log
