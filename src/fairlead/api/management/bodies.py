"""What bodies of the management API share: amounts, limits, expiry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from fairlead.accounts.options import as_columns
from fairlead.errors import ConfigurationError, InvalidRequest
from fairlead.money import Picodollars

# Of an amount that comes as a JSON number: more digits than an amount has, and no number that takes long to write out.
MOST_DIGITS: Final = 30
Note = Annotated[str, msgspec.Meta(max_length=256)]
Id = Annotated[str, msgspec.Meta(max_length=128)]


def amount_of(name: str, text: str) -> Picodollars:
    """From a decimal string of dollars. Raises InvalidRequest."""
    try:
        return Picodollars.parse(text)
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}.", param=name) from None


def amount_of_number(name: str, number: Decimal) -> Picodollars:
    """From a JSON number of dollars, as other APIs take it. Raises InvalidRequest."""
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS or len(number.as_tuple().digits) > MOST_DIGITS:
        raise InvalidRequest(f"{name} must be a number of dollars.", param=name)
    return amount_of(name, f"{number:f}")


class EachUserBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The cap of each end user."""

    budgets_usd: dict[str, str] = {}
    limits: dict[str, int] = {}


def _caps(each_user: EachUserBody | None) -> list[str]:
    if each_user is None:
        return []
    return [f"{name}={value}" for name, value in (*each_user.budgets_usd.items(), *each_user.limits.items())]


# Options of the command line that messages name, as members of a body.
_MEMBERS: Final = (
    ("--budget", "budgets_usd"),
    ("--continue-with", "continue_with"),
    ("--limit", "limits"),
    ("--network", "networks"),
    ("--each-user", "each_user"),
)


RESTRICTIONS: Final = ("expires_at", "models", "networks", "budgets_usd", "continue_with", "limits", "each_user")


def restrictions(
    *,
    expires_at: str | int | UnsetType | None = UNSET,
    models: Sequence[str] | UnsetType | None = UNSET,
    networks: Sequence[str] | UnsetType | None = UNSET,
    budgets_usd: Mapping[str, str] | UnsetType | None = UNSET,
    continue_with: Mapping[str, Sequence[str]] | UnsetType | None = UNSET,
    limits: Mapping[str, int] | UnsetType | None = UNSET,
    each_user: EachUserBody | UnsetType | None = UNSET,
) -> dict[str, Any]:
    """Values for the columns of a key, a member, a project or an account. UNSET leaves one as it is, None or an
    empty value removes it.

    Raises InvalidRequest.
    """
    try:
        columns = as_columns(
            models=None if models is UNSET else [*(models or ())],
            networks=None if networks is UNSET else [*(networks or ())],
            budgets=None
            if budgets_usd is UNSET
            else {period: amount_of("budgets_usd", text) for period, text in (budgets_usd or {}).items()},
            continue_with=None if continue_with is UNSET else continue_with,
            given_limits=None if limits is UNSET else [f"{name}={number}" for name, number in (limits or {}).items()],
            each_user=None if each_user is UNSET else _caps(each_user),
        )
    except ConfigurationError as error:
        message = error.message
        for option, member in _MEMBERS:
            message = message.replace(option, member)
        raise InvalidRequest(message) from None
    if expires_at is not UNSET:
        columns["expires_at"] = None if expires_at is None else seconds_of("expires_at", expires_at)
    return columns


def restrictions_of(body: msgspec.Struct) -> dict[str, Any]:
    """`restrictions` from those members of a body that have their names. Raises InvalidRequest."""
    return restrictions(**{name: getattr(body, name) for name in RESTRICTIONS if name in body.__struct_fields__})


def seconds_of(name: str, when: str | int) -> int:
    """Seconds since 1970, from these or from an ISO 8601 time, of UTC where it names no zone. Raises InvalidRequest."""
    if isinstance(when, int):
        seconds = when
    else:
        try:
            time = datetime.fromisoformat(when)
        except ValueError:
            raise InvalidRequest(f"{name} must be a time such as 2027-01-31T00:00:00Z.", param=name) from None
        seconds = int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    if not 0 < seconds < 2**33:
        raise InvalidRequest(f"{name} is out of range.", param=name)
    return seconds


def day_of(name: str, text: str) -> str:
    """A day such as 2027-01-31. Raises InvalidRequest."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        raise InvalidRequest(f"{name} must be a day such as 2027-01-31.", param=name) from None


def iso(seconds: float | None) -> str | None:
    """A time in seconds since 1970 as ISO 8601, in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
