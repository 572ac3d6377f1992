"""/admin/start/provider: a provider from its name to its first model, by forms that carry what was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import structs
from starlette.responses import Response

from fairlead.admin import configuration as versions
from fairlead.admin.configuration import Current, Plan, Submission, digest_of
from fairlead.admin.credentials import list_credentials, set_credential
from fairlead.admin.first_steps import (
    MOST_PICKS,
    NewProvider,
    Offer,
    Pick,
    checked_picks,
    checked_provider,
    offers,
    with_provider,
)
from fairlead.admin.remote import check_remote, guarded_addresses
from fairlead.console.operating.configuration import in_force, undo_of
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import CallerError, ConfigurationError, FairleadError, Forbidden, InvalidRequest
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.presets import PRESETS
from fairlead.settings import Settings, parse_settings
from fairlead.store import Store
from fairlead.store.configuration import StoredVersion

DOCUMENT: Final = "document"
FIELDS: Final = ("id", "preset", "base_url", "dialect", "region", "credential")
# Deployments that are called once before a plan is shown.
MOST_TRIED: Final = 3
SHOWN: Final = MOST_PICKS - 1


def _(message: str) -> str:
    return message


async def form(visit: ConsoleVisit) -> Response:
    return _form(visit, NewProvider(""), {})


def _form(visit: ConsoleVisit, given: NewProvider, problems: Mapping[str, str]) -> Response:
    return visit.render(
        "admin/provider.html",
        given=given,
        presets=[("", visit.gettext("A server of my own")), *((one.id, one.name) for one in PRESETS.values())],
        dialects=[(name, name) for name in DIALECTS],
        problems=problems,
    )


def _given(visit: ConsoleVisit) -> NewProvider:
    found = {name: visit.text(name).strip()[:2_000] for name in FIELDS}
    found["id"] = found["id"] or found["preset"]
    if found["preset"]:
        found["dialect"] = ""
    return NewProvider(**found)


async def choose(visit: ConsoleVisit) -> Response:
    """The key is sealed, and the provider is asked what it has."""
    given = _given(visit)._replace(credential="")
    taken = [one.id for one in visit.services.settings().providers]
    problems = checked_provider(given, taken)
    current: Current = await visit.run(in_force)
    try:
        if not problems:
            await visit.run(_check, given, current)
    except (Forbidden, ConfigurationError) as error:
        problems = {"base_url": error.message}
    key = visit.text("key").strip()
    if not problems and key:
        name = await visit.run(_free_name, given.id)
        try:
            await visit.run(set_credential, visit.actor, name, key)
        except (CallerError, ConfigurationError) as error:
            problems = {"key": error.message}
        else:
            given = given._replace(credential=name)
    if problems:
        return _form(visit, given, problems)
    found, trouble = await _listed(visit, given, current)
    return _models(visit, given, found, trouble)


def _check(store: Store, given: NewProvider, current: Current) -> None:  # noqa: ARG001
    check_remote(with_provider(current.text, given, ()), DOCUMENT, current.text)


def _free_name(store: Store, wanted: str) -> str:
    taken = {one.name for one in list_credentials(store)}
    return next(name for at in range(len(taken) + 1) if (name := f"{wanted}-{at + 1}" if at else wanted) not in taken)


def _settings(text: str, current: Current) -> Settings:
    """Of a document that is not in force: connections keep to what it may reach."""
    settings = parse_settings(text, DOCUMENT)
    return structs.replace(settings, guarded=guarded_addresses(text, DOCUMENT, current.text, current.guarded))


async def _listed(visit: ConsoleVisit, given: NewProvider, current: Current) -> tuple[list[Offer], str]:
    try:
        settings = _settings(with_provider("", given, ()), current)
        later = await visit.run(lambda _store: visit.services.live.models_of(settings, given.id))
        return offers(await later()), ""
    except FairleadError as error:
        return [], error.message


def _models(
    visit: ConsoleVisit,
    given: NewProvider,
    found: Sequence[Offer],
    trouble: str = "",
    problem: str | None = None,
    picked: Sequence[Pick] = (),
) -> Response:
    chosen = {one.upstream: one for one in picked}
    rows = [(one, chosen.pop(one.upstream, None)) for one in found[:SHOWN]]
    return visit.render(
        "admin/provider-models.html",
        given=given,
        fields=FIELDS,
        rows=rows,
        own=next(iter(chosen.values()), Pick("", "", "", "")),
        more=max(0, len(found) - SHOWN),
        trouble=trouble,
        problems={} if problem is None else {"picks": problem},
    )


def _rows(visit: ConsoleVisit) -> tuple[list[Offer], list[Pick]]:
    """All rows of the form, and those that were chosen."""
    found, picks = [], []
    for at in range(MOST_PICKS):
        cells = [visit.text(f"{name}-{at}").strip()[:300] for name in ("upstream", "model", "input", "output")]
        if not cells[0]:
            continue
        row = Pick(*cells)
        if at < SHOWN:
            found.append(Offer(row.upstream, row.model, visit.text(f"known-{at}") == "yes", row.input, row.output))
        if visit.text(f"pick-{at}") == "yes" or at == SHOWN:
            picks.append(row)
    return found, picks


async def plan(visit: ConsoleVisit) -> Response:
    given, (found, picks) = _given(visit), _rows(visit)
    problem = checked_picks(picks)
    if problem is not None:
        return _models(visit, given, found, "", problem, picks)
    current: Current = await visit.run(in_force)
    try:
        text = with_provider(current.text, given, picks)
        await visit.run(_check, given, current)
        planned: Plan = await visit.run(_plan, text)
    except (CallerError, ConfigurationError) as error:
        return _models(visit, given, found, "", error.message, picks)
    trials = [await _tried(visit, _settings(text, current), f"{given.id}/{one.upstream}") for one in picks[:MOST_TRIED]]
    return visit.render(
        "admin/provider-plan.html",
        given=given,
        fields=FIELDS,
        picks=picks,
        plan=planned,
        trials=trials,
        seen=digest_of(text),
        untried=max(0, len(picks) - MOST_TRIED),
    )


def _plan(store: Store, text: str) -> Plan:
    return versions.plan(store, text, DOCUMENT, versions.file_of_node(store))


async def _tried(visit: ConsoleVisit, settings: Settings, deployment: str) -> dict[str, Any]:
    try:
        later = await visit.run(lambda _store: visit.services.live.trial_of(settings, deployment))
        return await later()
    except FairleadError as error:
        return {"deployment": deployment, "outcome": error.code, "message": error.message, "status": None}


async def apply(visit: ConsoleVisit) -> Response:
    """What was seen is applied, or nothing."""
    given, picks = _given(visit), _rows(visit)[1]
    current: Current = await visit.run(in_force)
    text = with_provider(current.text, given, picks)
    expected = visit.text("expected")
    if digest_of(text) != visit.text("seen") or expected != str(current.number):
        raise InvalidRequest("The configuration has changed since the plan. Add the provider again.")
    author = visit.person.name if visit.person.name.isprintable() else visit.person.email
    comment = visit.text("comment") or f"provider {given.id}"
    by = Submission(visit.actor, author, comment, current.number, on_server=False)
    try:
        made: StoredVersion = await visit.run(versions.apply, text, DOCUMENT, by)
    except ConfigurationError as error:
        raise InvalidRequest(error.message) from None
    words = visit.gettext("Version %(number)s is applied. Processes take it up within two seconds.")
    return visit.redirect("/admin/deployments", notice=words % {"number": made.number}, undo=undo_of(made, current))


PAGES: Final = (
    ConsolePage("/admin/start/provider", form, "operate", step_up=True),
    ConsolePage("/admin/start/provider", choose, "operate", ("POST",), step_up=True),
    ConsolePage("/admin/start/provider/plan", plan, "operate", ("POST",), step_up=True),
    ConsolePage("/admin/start/provider/apply", apply, "operate", ("POST",), step_up=True),
)
