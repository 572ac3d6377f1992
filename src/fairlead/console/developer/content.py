"""/account/content: what an organisation keeps of what was asked and answered, and deleting it."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from fairlead.accounts.content import DETECTORS, MOST_DAYS, ContentPolicy
from fairlead.accounts.groups import GroupInfo
from fairlead.accounts.keys import KeyFilter, KeyInfo
from fairlead.admin import content as use_cases
from fairlead.admin import groups, keys
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import ConfigurationError, InvalidRequest


def _(message: str) -> str:
    return message


PATH: Final = "/account/content"
# What each detector finds, as marks are shown.
FOUND: Final = {
    "email": _("e-mail address"), "card": _("card number"), "iban": _("IBAN"), "phone": _("phone number"),
    "secret": _("key or secret"), "ip": _("IP address"), "rest": _("rest of the text"),
}  # fmt: skip
TITLES: Final = {
    "email": _("E-mail addresses"), "card": _("Card numbers with the right check digit"),
    "iban": _("IBANs with the right check digits"),
    "phone": _("Phone numbers, in international or North American form"),
    "secret": _("API keys, tokens and private keys of known shapes, ours too"), "ip": _("IP addresses"),
}  # fmt: skip
KEYS: Final = ("keys", "never")
# That the form offers by their names, the newest; others are named by their ids.
MOST_KEYS: Final = 100
LISTS: Final = ("keys", "never", "patterns")


async def shown(visit: ConsoleVisit) -> Response:
    state = await visit.run(use_cases.content_state, visit.account_id)
    return await _page(visit, _values(state.policy), {})


def _values(policy: ContentPolicy) -> dict[str, Any]:
    return {
        "enabled": "1" if policy.enabled else "",
        "share": f"{policy.share:g}",
        "days": str(policy.days),
        "projects": list(policy.projects),
        "detectors": list(policy.detectors),
        "media": policy.media,
        "store_false": policy.store_false,
        **{name: "\n".join(getattr(policy, name)) for name in LISTS},
    }


async def _page(visit: ConsoleVisit, values: dict[str, Any], problems: dict[str, str]) -> Response:
    state = await visit.run(use_cases.content_state, visit.account_id)
    found: list[GroupInfo] = await visit.run(groups.list_groups, "project", visit.account_id)
    chosen = {one for name in KEYS for one in values[name].splitlines()}
    newest: list[KeyInfo] = await visit.run(keys.newest_keys, KeyFilter(visit.account_id, state="all"), MOST_KEYS)
    offered = {one.id: one.name for one in newest if one.revoked_at is None or one.id in chosen}
    settings = visit.services.settings().content
    return visit.render(
        "account/content.html",
        problems=problems,
        values=values,
        policy=state.policy,
        counts=state.counts,
        projects=found,
        keys=offered,
        titles=TITLES,
        allowed=settings.allow,
        most_days=min(MOST_DAYS, settings.max_days),
        days=min(state.policy.days, settings.max_days),
    )


async def change(visit: ConsoleVisit) -> Response:
    """Saves the form."""
    texts = [one for one in visit.form.getlist("projects") if isinstance(one, str)]
    values: dict[str, Any] = {name: visit.text(name).strip() for name in ("enabled", "share", "days", "patterns")}
    for name in KEYS:  # boxes of keys by their names, and lines with ids
        given = [one for one in visit.form.getlist(name) if isinstance(one, str)]
        values[name] = "\n".join(one.replace("\0", "").strip() for one in given if one.strip())
    values["projects"] = texts
    values["detectors"] = [name for name in DETECTORS if name in visit.form.getlist("detectors")]
    values["media"], values["store_false"] = visit.text("media") == "1", visit.text("store_false") == "1"
    problems: dict[str, str] = {}
    changes: dict[str, Any] = {
        "enabled": values["enabled"] == "1",
        "projects": tuple(texts),
        "detectors": tuple(values["detectors"]),
        "media": values["media"],
        "store_false": values["store_false"],
        **{name: tuple(line.strip() for line in values[name].splitlines() if line.strip()) for name in LISTS},
    }
    try:
        changes["share"] = float(values["share"].removesuffix("%"))
    except ValueError:
        problems["share"] = _("Write a number from 0 to 100.")
    if values["days"].isascii() and values["days"].isdigit() and len(values["days"]) < 6:
        changes["days"] = int(values["days"])
    else:
        problems["days"] = _("Write a whole number of days.")
    if not problems:
        settings = visit.services.settings().content
        try:
            await visit.run(use_cases.change_content_policy, visit.actor, visit.account_id, changes, settings)
        except (InvalidRequest, ConfigurationError) as error:
            problems[getattr(error, "param", None) or "enabled"] = error.message
    if problems:
        return await _page(visit, values, problems)
    return visit.redirect(PATH, notice=_("Saved. It is in force within a second."))


async def erase(visit: ConsoleVisit) -> Response:
    """Deletes what is kept of an end user, or everything."""
    user = visit.text("end_user").strip()
    if not user and visit.text("everything") != "1":
        state = await visit.run(use_cases.content_state, visit.account_id)
        return await _page(visit, _values(state.policy), {"end_user": _("Name an end user, or choose everything.")})
    await visit.run(use_cases.erase_content, visit.actor, visit.account_id, user)
    return visit.redirect(PATH, notice=_("The content was deleted. Records and receipts are as they were."))


async def delete_one(visit: ConsoleVisit) -> Response:
    """Deletes what is kept of one call."""
    call_id = visit.path_params["call"]
    await visit.run(use_cases.delete_call_content, visit.actor, visit.account_id, call_id)
    return visit.redirect(f"/account/calls/{call_id}", notice=_("The content of this call was deleted."))


PAGES: Final = (
    ConsolePage(PATH, shown, "view"),
    ConsolePage(PATH, change, "manage", ("POST",)),
    ConsolePage(f"{PATH}/erase", erase, "manage", ("POST",)),
    ConsolePage("/account/calls/{call}/content", delete_one, "manage", ("POST",)),
)
