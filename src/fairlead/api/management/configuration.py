"""/v1/admin/configuration: versions of the configuration; what `fairlead config` does, over HTTP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from fairlead.admin import configuration as versions
from fairlead.admin.configuration import Submission
from fairlead.admin.masking import masked
from fairlead.api.management.action import Action, Answer, ManagementCall
from fairlead.errors import InvalidRequest, NotFound
from fairlead.store.configuration import StoredVersion

# What errors call a document that came by a request.
DOCUMENT: Final = "document"
_ETAG: Final = re.compile(r'(?:W/)?"([0-9]{1,18})"')


class Document(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    document: str


class NewVersion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    document: str
    comment: str = ""
    author: str = ""
    expect: int | None = None


class Rollback(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    version: int
    comment: str = ""
    author: str = ""
    expect: int | None = None


def _current(call: ManagementCall) -> Answer:
    found = versions.current(call.store, versions.file_of_node(call.store))
    entry = {**versions.current_entry(found), "document": masked(found.text)}
    return Answer({"data": entry}, etag=_etag(found.number))


def _list(call: ManagementCall) -> Answer:
    found = versions.history(call.store, call.count())
    return Answer({"data": [versions.version_entry(one) for one in found]})


def _one(call: ManagementCall) -> Answer:
    found = versions.document_of(call.store, _number(call.id))
    return Answer({"data": {**versions.version_entry(found), "document": masked(found.document or "")}})


def _diff(call: ManagementCall) -> Answer:
    one, other = call.number("from", 0, 1, 2**53), call.number("to", 0, 1, 2**53)
    if not one or not other:
        raise InvalidRequest("Give two versions: ?from=1&to=2.", param="from" if not one else "to")
    found = versions.compare(call.store, one, other)
    return Answer({"data": [versions.change_entry(change) for change in found]})


def _plan(call: ManagementCall) -> Answer:
    body: Document = call.body
    found = versions.plan(call.store, body.document, DOCUMENT, versions.file_of_node(call.store))
    return Answer({"data": versions.plan_entry(found)}, etag=_etag(found.current.number))


def _apply(call: ManagementCall) -> Answer:
    body: NewVersion = call.body
    by = Submission(call.actor, body.author, body.comment, _expected(call, body.expect), on_server=False)
    return _made(versions.apply(call.store, body.document, DOCUMENT, by))


def _rollback(call: ManagementCall) -> Answer:
    body: Rollback = call.body
    if body.version < 0:
        raise InvalidRequest("version must be the number of a version, or 0 for the files.", param="version")
    by = Submission(call.actor, body.author, body.comment, _expected(call, body.expect))
    return _made(versions.rollback(call.store, body.version, by))


def _status(call: ManagementCall) -> Answer:
    found = versions.status(call.store, versions.file_of_node(call.store))
    entry = {
        "current": versions.current_entry(found.current),
        "behind": [one.id for one in found.behind],
        "processes": [versions.process_entry(one) for one in found.processes],
    }
    return Answer({"data": entry}, etag=_etag(found.current.number))


def _made(version: StoredVersion) -> Answer:
    return Answer({"data": versions.version_entry(version)}, etag=_etag(version.number))


def _etag(number: int) -> str:
    """Of what is in force: the number of the newest version."""
    return f'"{number}"'


def _expected(call: ManagementCall, given: int | None) -> int | None:
    """The version that a change was planned for, of the body or of If-Match. Raises InvalidRequest."""
    if not call.if_match or call.if_match.strip() == "*":
        return given
    found = _ETAG.fullmatch(call.if_match.strip())
    if found is None:
        raise InvalidRequest('If-Match must be the ETag of the newest version, such as "7".', param="If-Match")
    if given not in (None, int(found[1])):
        raise InvalidRequest("expect and If-Match name different versions.", param="expect")
    return int(found[1])


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise NotFound(f"There is no version {text[:32]!r} of the configuration.")
    return int(text)


EXPECT: Final = (
    "`expect` in the body, or `If-Match` with the ETag of a plan, is the newest version that the change was planned "
    "for: 412 `version_conflict` when another one was applied meanwhile."
)
CONFIGURATION: Sequence[Action] = (
    Action("GET", "/v1/admin/configuration", "read", _current, "Configuration", "Retrieve the configuration in force.",
           "TOML as it was written, with secrets hidden. `source`: `database`, `file` or `none`; the ETag is the "
           "newest version.", confined=False),
    Action("GET", "/v1/admin/configuration/versions", "read", _list, "Configuration",
           "List the versions of the configuration, newest first.",
           query={"limit": "How many, from 1 to 1,000. Default: 100."}, confined=False),
    Action("GET", "/v1/admin/configuration/versions/{id}", "read", _one, "Configuration",
           "Retrieve a version, with secrets hidden.", confined=False),
    Action("GET", "/v1/admin/configuration/diff", "read", _diff, "Configuration", "Compare two versions.",
           query={"from": "The number of a version.", "to": "The number of another."}, confined=False),
    Action("GET", "/v1/admin/configuration/status", "read", _status, "Configuration",
           "List the running processes with the version that each uses.",
           "`behind`: processes that do not use the newest version, or have refused it; `error` says why.",
           confined=False),
    Action("POST", "/v1/admin/configuration/plan", "configuration", _plan, "Configuration",
           "Show what a document would change.",
           "Each change has a sentence (`words`), an `effect` (`now`, `restart` or `warning`) and its values. "
           "Nothing is applied.", body=Document, confined=False),
    Action("POST", "/v1/admin/configuration/apply", "configuration", _apply, "Configuration",
           "Make a document the next version, in force in all processes within two seconds.", EXPECT,
           body=NewVersion, confined=False, status=201),
    Action("POST", "/v1/admin/configuration/rollback", "configuration", _rollback, "Configuration",
           "Make a new version with the document of an earlier one.",
           f"`version` 0: the file of each node is in force again. {EXPECT}",
           body=Rollback, confined=False, status=201),
)  # fmt: skip
