"""Everything that the command line can do, the API can do."""

from __future__ import annotations

from typing import Final

from fairlead.api.routes import all_routes
from fairlead.cli.main import cli

# The command and the route that does the same.
SAME: Final = {
    "access": "GET /v1/admin/keys/{id}/access",
    "accounts disable": "PATCH /v1/admin/accounts/{id}",
    "accounts enable": "PATCH /v1/admin/accounts/{id}",
    "accounts create": "POST /v1/admin/accounts",
    "accounts list": "GET /v1/admin/accounts",
    "accounts set": "PATCH /v1/admin/accounts/{id}",
    "alerts list": "GET /v1/admin/alerts",
    "alerts test": "POST /v1/admin/alerts/test",
    "alerts retry": "POST /v1/admin/alerts/{id}/retry",
    "shadow report": "GET /v1/admin/shadow",
    "audit export": "GET /v1/admin/audit",
    "audit list": "GET /v1/admin/audit",
    "engine add": "POST /v1/admin/configuration/apply",
    "engine start": "POST /v1/admin/configuration/apply",
    "engine stop": "POST /v1/admin/configuration/apply",
    "engine remove": "POST /v1/admin/configuration/apply",
    "config apply": "POST /v1/admin/configuration/apply",
    "config diff": "GET /v1/admin/configuration/diff",
    "config history": "GET /v1/admin/configuration/versions",
    "config plan": "POST /v1/admin/configuration/plan",
    "config rollback": "POST /v1/admin/configuration/rollback",
    "config show": "GET /v1/admin/configuration",
    "config status": "GET /v1/admin/configuration/status",
    "content delete": "DELETE /v1/admin/accounts/{id}/content",
    "content set": "PATCH /v1/admin/accounts/{id}/content",
    "content show": "GET /v1/admin/accounts/{id}/content",
    "credit balance": "GET /v1/admin/balances",
    "credit codes": "POST /v1/admin/codes",
    "credit grant": "POST /v1/admin/grants",
    "credit redeem": "POST /v1/admin/codes/redeem",
    "credit refund": "POST /v1/admin/refunds",
    "credit withdraw": "POST /v1/admin/withdrawals",
    "credentials list": "GET /v1/admin/credentials",
    "credentials remove": "DELETE /v1/admin/credentials/{id}",
    "credentials set": "POST /v1/admin/credentials",
    "verify": "GET /v1/admin/verify",
    "explain": "GET /v1/admin/explain/{id}",
    "keys create": "POST /v1/admin/keys",
    "keys list": "GET /v1/admin/keys",
    "keys revoke": "DELETE /v1/admin/keys/{id}",
    "keys set": "PATCH /v1/admin/keys/{id}",
    "deployments drain": "POST /v1/admin/deployments/{id}/drain",
    "deployments list": "GET /v1/admin/deployments",
    "deployments test": "POST /v1/admin/deployments/{id}/test",
    "deployments undrain": "POST /v1/admin/deployments/{id}/undrain",
    "members archive": "DELETE /v1/admin/members/{id}",
    "members restore": "POST /v1/admin/members/{id}/restore",
    "members create": "POST /v1/admin/members",
    "members list": "GET /v1/admin/members",
    "members set": "PATCH /v1/admin/members/{id}",
    "projects archive": "DELETE /v1/admin/projects/{id}",
    "projects restore": "POST /v1/admin/projects/{id}/restore",
    "projects create": "POST /v1/admin/projects",
    "projects list": "GET /v1/admin/projects",
    "projects set": "PATCH /v1/admin/projects/{id}",
    "management-keys create": "POST /v1/admin/management-keys",
    "management-keys list": "GET /v1/admin/management-keys",
    "management-keys revoke": "DELETE /v1/admin/management-keys/{id}",
    "usage export": "GET /v1/admin/usage",
    "people add": "POST /v1/admin/memberships",
    "people disable": "PATCH /v1/admin/people/{id}",
    "people enable": "PATCH /v1/admin/people/{id}",
    "people invitations": "GET /v1/admin/invitations",
    "people invite": "POST /v1/admin/invitations",
    "people list": "GET /v1/admin/people",
    "people memberships": "GET /v1/admin/memberships",
    "people remove": "DELETE /v1/admin/memberships/{id}",
    "people role": "PATCH /v1/admin/memberships/{id}",
    "people sessions": "GET /v1/admin/people/{id}/sessions",
    "people sign-out": "DELETE /v1/admin/people/{id}/sessions",
    "people withdraw": "DELETE /v1/admin/invitations/{id}",
    "version": "GET /openapi.json",
}
# What is done on the machine itself, and why.
EXCEPTIONS: Final = {
    "serve": "starts the server",
    "demo": "starts a server of its own",
    "engine list": "reads files",
    "engine run": "starts the server",
    "doctor": "is a client of a server",
    "operator link": "is how somebody gets in who has no key yet",
    "catalogue build": "is for developers",
    "catalogue import": "reads and writes files",
    "catalogue lint": "reads files",
    "catalogue show": "reads files",
    "import litellm": "reads files",
    "import new-api": "reads another database",
    "import openrouter": "reads files",
    "backup create": "writes a file on the machine",
    "backup verify": "reads a file",
    "upgrade": "is about the version that is installed",
    "restore": "needs an empty data directory, which no server serves from",
    "credentials reseal": "needs the key that they are sealed with",
}  # fmt: skip


def test_each_command_has_a_route_or_a_reason() -> None:
    commands = {
        f"{name} {one}".strip()
        for name, command in cli.commands.items()
        for one in getattr(command, "commands", {"": command})
    }
    assert commands == set(SAME) | set(EXCEPTIONS)
    assert not set(SAME) & set(EXCEPTIONS)
    assert set(SAME.values()) <= {f"{route.method} {route.path}" for route in all_routes()}
