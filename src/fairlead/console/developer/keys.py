"""/account/keys: list, create, change, disable, revoke."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response

from fairlead.accounts.groups import GroupInfo
from fairlead.accounts.keys import KeyFilter, KeyInfo
from fairlead.accounts.limits import Limits
from fairlead.accounts.options import as_columns
from fairlead.admin import groups, keys
from fairlead.admin.usage import key_states
from fairlead.clock import utc_now
from fairlead.console.developer.confined import member_of, own_key
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import ConfigurationError, InvalidRequest
from fairlead.money import Picodollars
from fairlead.site.model.code import curl
from fairlead.store import Store


def _(message: str) -> str:
    return message


PER_PAGE: Final = 50
BUDGETS: Final = (("day", _("Per day")), ("week", _("Per week")), ("month", _("Per month")), ("total", _("In total")))
LIMITS: Final = (
    ("requests_per_minute", _("Requests per minute")),
    ("tokens_per_minute", _("Tokens per minute")),
    ("requests_per_day", _("Requests per day")),
    ("tokens_per_day", _("Tokens per day")),
    ("concurrent_requests", _("Requests at the same time")),
)
STATES: Final = (
    ("active", _("Active")), ("disabled", _("Disabled")), ("revoked", _("Revoked")), ("all", _("All keys")),
)  # fmt: skip
# Options of the command line that sentences of errors name, and what the form calls them.
NAMES: Final[Mapping[str, str]] = {"--expires": "Expiry", "--network": "A network", "--limit": "A limit"}
FIELDS: Final = ("name", "project", "expires", "models", "networks", *(f"budget_{name}" for name, _title in BUDGETS),
                 *(name for name, _title in LIMITS))  # fmt: skip


@dataclass(slots=True)
class KeyForm:
    """What somebody has filled in, and what is wrong with it, by field."""

    values: Mapping[str, str]
    shared: bool = False  # of many keys: without expiry and networks
    columns: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def read(self, before: KeyInfo | GroupInfo | None = None) -> None:
        """Makes columns of it, or problems. `before`: what is changed; what it has and no field shows is kept."""
        values = self.values
        if not self.shared:
            self._take("expires", lambda text: as_columns(expires=text))
            self._take("networks", lambda text: as_columns(networks=_words(text)))
        self._take("models", lambda text: as_columns(models=_words(text)))
        budgets: dict[str, Picodollars] = {}
        for period, _title in BUDGETS:
            if text := values[f"budget_{period}"].strip().removeprefix("$"):
                try:
                    budgets[period] = Picodollars.parse(text)
                except ValueError:
                    self.problems[f"budget_{period}"] = _("A budget is an amount in dollars, such as 25.00.")
        kept = {} if before is None else {one.period: one for one in before.budgets}
        if (session := kept.get("session")) is not None:
            budgets["session"] = Picodollars(session.picodollars)
        continued = {period: one.continue_with for period, one in kept.items() if period in budgets}
        if not self.problems:
            self.columns |= as_columns(
                budgets=budgets, continue_with={period: models for period, models in continued.items() if models}
            )
        numbers = [f"{name}={values[name].strip()}" for name, _title in LIMITS if values[name].strip()]
        for entry in numbers:
            try:
                as_columns(given_limits=[entry])
            except ConfigurationError as error:
                self.problems[entry.partition("=")[0]] = sentence_of(error)
        if before is not None and before.limits is not None:
            for model, limits in before.limits.models.items():
                numbers += [f"{model}:{name}={number}" for name, number in _numbers(limits)]
        if not self.problems:
            self.columns |= as_columns(given_limits=numbers)

    def _take(self, name: str, columns: Any) -> None:
        try:
            self.columns |= columns(self.values[name].strip())
        except ConfigurationError as error:
            self.problems[name] = sentence_of(error)


def _numbers(limits: Limits) -> list[tuple[str, int]]:
    found = ((name, getattr(limits, name)) for name in Limits.__struct_fields__)
    return [(name, number) for name, number in found if number]


def sentence_of(error: ConfigurationError | InvalidRequest) -> str:
    """What is wrong, with the names that the form has for fields."""
    text = error.message
    for option, name in NAMES.items():
        text = text.replace(option, name)
    return text


def _words(text: str) -> list[str]:
    """Entries on lines of their own, or separated by commas."""
    return [one.strip() for one in text.replace(",", "\n").splitlines() if one.strip()]


def _filled(visit: ConsoleVisit) -> dict[str, str]:
    return {name: visit.text(name) for name in FIELDS}


def values_of(key: KeyInfo | GroupInfo) -> dict[str, str]:
    """The form of a key or a group that is there."""
    numbers = {} if key.limits is None else key.limits.by_name()
    amounts = {one.period: Picodollars(one.picodollars).dollars() for one in key.budgets}
    found = {"name": key.name, "models": "\n".join(key.models or ())}
    if isinstance(key, KeyInfo):
        found |= {
            "project": key.project_id or "",
            # The last day that it may be used on.
            "expires": "" if key.expires_at is None else f"{datetime.fromtimestamp(key.expires_at - 1, UTC):%Y-%m-%d}",
            "networks": "\n".join(key.networks or ()),
        }
    return {
        **found,
        **{f"budget_{period}": amounts.get(period, "") for period, _title in BUDGETS},
        **{name: str(numbers.get(name, "")) for name, _title in LIMITS},
    }


# --- the list


async def listed(visit: ConsoleVisit) -> Response:
    """The keys, newest first."""
    await visit.services.flush()
    return visit.render("account/keys.html", **await _list(visit))


async def _list(visit: ConsoleVisit) -> dict[str, Any]:
    state = visit.query.get("state", "active")
    wanted = KeyFilter(
        visit.account_id,
        member_of(visit),
        visit.query.get("project") or None,
        visit.query.get("q", "").strip()[:128],
        state if state in dict(STATES) else "active",
    )
    before = _before(visit.query.get("before", ""))

    def read(store: Store) -> dict[str, Any]:
        found = keys.newest_keys(store, wanted, PER_PAGE + 1, before)
        shown = found[:PER_PAGE]
        last = shown[-1] if len(found) > PER_PAGE else None
        projects = groups.list_groups(store, "project", visit.account_id)
        return {
            "states": key_states(store, shown),
            "more": None if last is None else f"{last.created_at}.{last.id}",
            "projects": {one.id: one.name for one in projects},
        }

    return {
        **await visit.run(read),
        "wanted": wanted,
        "choices": STATES,
        "now": utc_now().timestamp(),
        "left": lambda state: 100 - part_of(state.budget.picodollars - state.remaining, state.budget.picodollars),
        "undo": visit.query.get("disabled", ""),
        "filtered": bool(wanted.text or wanted.project_id or wanted.state != "active" or before),
    }


def _before(text: str) -> tuple[int, str] | None:
    created, _dot, key_id = text.partition(".")
    return (int(created), key_id) if created.isdecimal() and len(created) < 13 and key_id else None


# --- create and change


async def new(visit: ConsoleVisit) -> Response:
    """The form of a new key."""
    values = dict.fromkeys(FIELDS, "")
    return visit.render("account/key.html", **await _form(visit, None, values))


async def create(visit: ConsoleVisit) -> Response:
    """The page of a key that was just created, which is the only one that shows it."""
    form = KeyForm(_filled(visit))
    form.read()
    name = form.values["name"].strip()
    if not name:
        form.problems["name"] = _("Give the key a name that tells what it is for.")
    member_id = member_of(visit)
    columns = {**form.columns, "project_id": form.values["project"] or None, "member_id": member_id}
    if not form.problems:
        try:
            key = await visit.run(
                keys.create_key, visit.actor, name, account_id=visit.account_id,
                columns={one: value for one, value in columns.items() if value is not None},
            )  # fmt: skip
        except (ConfigurationError, InvalidRequest) as error:
            form.problems["name"] = sentence_of(error)
        else:
            return visit.render("account/key-created.html", key=key, name=name, snippet=_snippet(visit))
    return visit.render("account/key.html", problems=form.problems, **await _form(visit, None, form.values))


def _snippet(visit: ConsoleVisit) -> str:
    """A call that works with the new key: of the first model that can be called."""
    models = [one for one in visit.services.snapshot().models.values() if one.mode == "chat"]
    return curl(visit.api, models[0].id) if models else ""


async def change(visit: ConsoleVisit) -> Response:
    """The form of a key, and what it changes."""
    key = await own_key(visit)
    if visit.request.method != "POST":
        return visit.render("account/key.html", **await _form(visit, key, values_of(key)))
    form = KeyForm(_filled(visit))
    form.read(key)
    if form.values["expires"] == values_of(key)["expires"]:
        form.columns.pop("expires_at", None)  # the same day: to the second as it was
        form.problems.pop("expires", None)
    columns = {**form.columns, "project_id": form.values["project"] or None}
    if not form.problems:
        try:
            await visit.run(keys.change_key, visit.actor, key.id, columns, name=form.values["name"].strip())
        except (ConfigurationError, InvalidRequest) as error:
            form.problems["name"] = sentence_of(error)
        else:
            return visit.redirect("/account/keys", notice=_("The key was changed. It is in force within a second."))
    return visit.render("account/key.html", problems=form.problems, **await _form(visit, key, form.values))


async def _form(visit: ConsoleVisit, key: KeyInfo | None, values: Mapping[str, str]) -> dict[str, Any]:
    projects = await visit.run(groups.list_groups, "project", visit.account_id)
    models = sorted(visit.services.snapshot().models)
    return {
        "key": key,
        "values": values,
        "projects": [(one.id, one.name) for one in projects],
        "models": models,
        "budgets": BUDGETS,
        "limits": LIMITS,
        "opened": any(values[name] for name in FIELDS if name not in ("name", "project", "budget_month")),
        "now": utc_now().timestamp(),
    }


# --- disable, enable, revoke


async def switch(visit: ConsoleVisit) -> Response:
    """Disables a key, or enables it again; disabling can be undone on the page that follows."""
    key = await own_key(visit)
    disabled = visit.text("disabled") == "1"
    await visit.run(keys.disable_key, visit.actor, key.id, disabled=disabled)
    if disabled:
        return visit.redirect(f"/account/keys?state=all&disabled={key.id}")
    return visit.redirect("/account/keys", notice=_("The key is enabled."))


async def revoke(visit: ConsoleVisit) -> Response:
    """Revokes a key for good."""
    key = await own_key(visit)
    await visit.run(keys.revoke_key, visit.actor, key.id)
    return visit.redirect("/account/keys", notice=_("The key is revoked. Calls with it are refused within a second."))


def part_of(spent: int, granted: int) -> int:
    """Per cent of a budget, 100 at most."""
    return 100 if granted <= 0 else min(100, math.floor(spent * 100 / granted))


PAGES: Final = (
    ConsolePage("/account/keys", listed, "view"),
    ConsolePage("/account/keys/new", new, "keys"),
    ConsolePage("/account/keys/new", create, "keys", ("POST",)),
    ConsolePage("/account/keys/{key}", change, "keys", ("GET", "POST")),
    ConsolePage("/account/keys/{key}/state", switch, "keys", ("POST",)),
    ConsolePage("/account/keys/{key}/revoke", revoke, "keys", ("POST",)),
)
