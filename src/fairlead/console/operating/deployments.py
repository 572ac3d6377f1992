"""/admin/deployments and /admin/models: what is served by whom, and what it costs."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from fairlead.admin import deployments as use_cases
from fairlead.admin import directory
from fairlead.admin.planning import shown_value
from fairlead.catalogue.lint import Problem, against_dialect, lint
from fairlead.catalogue.snapshot import Deployment, Model, Snapshot
from fairlead.console.page import ConsolePage, ConsoleVisit, Undo
from fairlead.money import Picodollars
from fairlead.providers.dialects import DIALECTS
from fairlead.settings import Settings, secret_settings
from fairlead.store import Store
from fairlead.store.drained import Drained
from fairlead.telemetry.reader import Reader

# Deployments that one form drains or puts back.
MOST_AT_ONCE: Final = 100
WINDOW: Final = "24h"
CREDENTIALS: Final = ("api_key", "api_keys", "access_key_id", "secret_access_key", "session_token", "profile")


def _(message: str) -> str:
    return message


async def deployments(visit: ConsoleVisit) -> Response:
    return await _list(visit)


async def _list(visit: ConsoleVisit, trial: dict[str, Any] | None = None) -> Response:
    live = visit.services.live
    settings = visit.services.settings()
    drained: list[Drained] = await visit.run(use_cases.drained)
    return visit.render(
        "admin/deployments.html",
        deployments=live.deployments(),
        providers=[_provider(settings, one.id) for one in settings.providers],
        pools=live.pools(),
        drained={one.deployment: one for one in drained},
        names=await visit.run(directory.names_of, {one.by for one in drained}),
        trial=trial,
    )


def _provider(settings: Settings, name: str) -> dict[str, Any]:
    found = next(one for one in settings.providers if one.id == name)
    credentials = [
        (one, shown_value(getattr(found, one), secret=("providers", one) in secret_settings()))
        for one in CREDENTIALS
        if getattr(found, one, None)
    ]
    return {
        "id": found.id,
        "preset": found.preset,
        "base_url": found.base_url,
        "dialect": found.dialect,
        "credentials": [(name, words(value)) for name, value in credentials],
    }


def words(value: Any) -> str:
    """Where a credential is, never what it is: "env GROQ_API_KEY"."""
    if isinstance(value, dict):
        return ", ".join(f"{kind} {place}" for kind, place in value.items())
    if isinstance(value, list):
        return "; ".join(map(words, value))
    return str(value)


async def test(visit: ConsoleVisit) -> Response:
    """One small call, whose result is shown above the list."""
    name = visit.text("deployment")
    later = visit.services.live.trial(name)
    await visit.run(use_cases.note_trial, visit.actor, name)
    return await _list(visit, await later())


async def drain(visit: ConsoleVisit) -> Response:
    names = _named(visit)
    known = [one["id"] for one in visit.services.live.deployments()]
    for name in names:
        await visit.run(use_cases.drain, visit.actor, name, known)
    if len(names) == 1:
        notice = visit.gettext("%(name)s is out of use. Calls under way end normally.") % {"name": names[0]}
    else:
        notice = visit.gettext("%(count)s deployments are out of use. Calls under way end normally.")
        notice %= {"count": len(names)}
    return visit.redirect(_back(visit), notice=notice, undo=_opposite(visit, "undrain", names))


async def undrain(visit: ConsoleVisit) -> Response:
    names = _named(visit)
    for name in names:
        await visit.run(use_cases.undrain, visit.actor, name)
    if len(names) == 1:
        notice = visit.gettext("%(name)s is in use again.") % {"name": names[0]}
    else:
        notice = visit.gettext("%(count)s deployments are in use again.") % {"count": len(names)}
    return visit.redirect(_back(visit), notice=notice, undo=_opposite(visit, "drain", names))


def _named(visit: ConsoleVisit) -> list[str]:
    """The deployments of a form, with spaces between them, which no id has."""
    return visit.text("deployment").split()[:MOST_AT_ONCE] or [""]


def _back(visit: ConsoleVisit) -> str:
    """The page that the form was on."""
    return "/admin" if visit.text("on") == "overview" else "/admin/deployments"


def _opposite(visit: ConsoleVisit, what: str, names: list[str]) -> Undo:
    return Undo(f"/admin/deployments/{what}", {"deployment": " ".join(names), "on": visit.text("on")})


async def models(visit: ConsoleVisit) -> Response:
    snapshot = visit.services.snapshot()
    served = [one for one in snapshot.models.values() if one.deployments]
    return visit.render("admin/models.html", models=await visit.run(_models, snapshot, served))


def _models(store: Store, snapshot: Snapshot, served: list[Model]) -> list[dict[str, Any]]:
    reader = Reader(store)
    problems: dict[str, list[Problem]] = {}
    for one in lint([model.facts for model in served], snapshot.vendors):
        problems.setdefault(one.model, []).append(one)
    found = []
    for model in served:
        measured = {one.deployment: one.traffic for one in reader.performance(model.id, WINDOW).deployments}
        own = list(problems.get(model.id, ()))
        for deployment in model.deployments:
            dialect = DIALECTS[snapshot.providers[deployment.provider].dialect]
            incapable = set(dialect.incapable) - set(deployment.lacks)
            own += against_dialect(model.facts, deployment.parameters or (), incapable, dialect)
        found.append(
            {
                "model": model,
                "rows": [(_prices(one), one, measured.get(one.id)) for one in model.deployments],
                "problems": own,
            }
        )
    return found


def _prices(deployment: Deployment) -> dict[str, str | None]:
    sheet = deployment.sheet
    price, cost = sheet.price.rates, None if sheet.cost is None else sheet.cost.rates
    return {
        "input": Picodollars(price.input).per_million(),
        "output": Picodollars(price.output).per_million(),
        "cost_input": None if cost is None else Picodollars(cost.input).per_million(),
        "cost_output": None if cost is None else Picodollars(cost.output).per_million(),
    }


PAGES: Final = (
    ConsolePage("/admin/deployments", deployments, "operate"),
    ConsolePage("/admin/deployments/test", test, "operate", ("POST",)),
    ConsolePage("/admin/deployments/drain", drain, "operate", ("POST",)),
    ConsolePage("/admin/deployments/undrain", undrain, "operate", ("POST",)),
    ConsolePage("/admin/models", models, "operate"),
)
