"""What a key may be limited to, from what an operator writes: expiry, models, networks, budgets, limits."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from fairlead.accounts.accounts import PERIODS, budgets_as_json
from fairlead.accounts.limits import Limits, OwnLimits
from fairlead.errors import ConfigurationError
from fairlead.money import Picodollars
from fairlead.toml import unknown

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LONGEST_LIFE_SECONDS = 100 * 366 * 86_400
MOST_ENTRIES = 1_000
MOST = 10**15 - 1
_SPAN = re.compile(r"([0-9]{1,6})([hd])")
_HOURS = {"h": 3600, "d": 86_400}


def expiry(text: str) -> int:
    """When a key ends, in seconds since 1970: the end of a day such as "2027-01-31" (UTC), or "12h", "30d" from now."""
    if found := _SPAN.fullmatch(text):
        seconds = int(found[1]) * _HOURS[found[2]]
        if not 0 < seconds <= LONGEST_LIFE_SECONDS:
            raise ConfigurationError("--expires must be between one hour and a hundred years from now.")
        return int(time.time()) + seconds
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigurationError(f"--expires must be a day such as 2027-01-31, or 30d, or 12h, not {text!r}.") from None
    return int(day.timestamp()) + 86_400


def network(text: str) -> str:
    """A range of addresses such as "10.0.0.0/8", in its usual form."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ConfigurationError(
            f"--network must be a range such as 10.0.0.0/8 or 2001:db8::/32, not {text!r}."
        ) from None


def limits(given: Sequence[str], option: str = "--limit") -> OwnLimits:
    """From entries such as "requests_per_minute=60" and "MODEL:tokens_per_day=1000000"."""
    own: dict[str, int] = {}
    models: dict[str, dict[str, int]] = {}
    known = Limits.__struct_fields__
    for entry in given:
        name, equals, number = entry.rpartition("=")
        model, _, name = name.rpartition(":")
        if not equals:
            raise ConfigurationError(
                f"{option} must be NAME=NUMBER or MODEL:NAME=NUMBER, with a NAME of {', '.join(known)}; "
                f"not {entry[:200]!r}."
            )
        if name not in known:
            raise ConfigurationError(f"{option}: {unknown('limit', name, known)} There are {', '.join(known)}.")
        if not re.fullmatch(r"[1-9][0-9]{0,14}", number):
            raise ConfigurationError(f"{option}: {name} must be a whole number from 1 to {MOST}, not {number[:40]!r}.")
        (models.setdefault(model, {}) if model else own)[name] = int(number)
    return OwnLimits(Limits(**own), {model: Limits(**numbers) for model, numbers in models.items()})


def as_columns(
    *,
    expires: str | None = None,
    models: Sequence[str] | None = None,
    networks: Sequence[str] | None = None,
    budgets: Mapping[str, Picodollars] | None = None,
    continue_with: Mapping[str, Sequence[str]] | None = None,
    given_limits: Sequence[str] | None = None,
    each_user: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Values for the columns of a key, a member, a project or an account. None leaves one as it is, an empty value
    removes it.

    Raises ConfigurationError.
    """
    columns: dict[str, Any] = {}
    if expires is not None:
        columns["expires_at"] = expiry(expires) if expires else None
    for name, entries in (("models", models), ("networks", networks)):
        if entries is not None:
            if len(entries) > MOST_ENTRIES:
                raise ConfigurationError(f"A key may have at most {MOST_ENTRIES} {name}.")
            kept = [network(entry) if name == "networks" else entry for entry in entries if entry]
            columns[name] = msgspec.json.encode(kept).decode() if kept else None
    if budgets is not None or continue_with:
        columns["budgets"] = budgets_as_json(budgets, continue_with)
    if given_limits is not None:
        kept_limits = [entry for entry in given_limits if entry]
        columns["limits"] = msgspec.json.encode(limits(kept_limits)).decode() if kept_limits else None
    if each_user is not None:
        columns["each_user"] = _each_user([entry for entry in each_user if entry])
    return columns


def _each_user(given: Sequence[str]) -> str | None:
    """From entries such as "day=0.50" and "requests_per_minute=20", as JSON."""
    budgets: dict[str, Picodollars] = {}
    numbers = []
    for entry in given:
        name, equals, amount = entry.partition("=")
        if not equals or name not in PERIODS:
            numbers.append(entry)
            continue
        try:
            budgets[name] = Picodollars.parse(amount)
        except ValueError as error:
            raise ConfigurationError(f"--each-user: {error}.") from None
    if not given:
        return None
    kept = {
        "budgets": {period: amount.value for period, amount in budgets.items()},
        "limits": limits(numbers, "--each-user"),
    }
    return msgspec.json.encode(kept).decode()


def read_limits(text: str | None) -> OwnLimits | None:
    return None if text is None else msgspec.json.decode(text, type=OwnLimits)


def read_list(text: str | None) -> list[str] | None:
    return None if text is None else msgspec.json.decode(text, type=list[str])


def read_networks(listed: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(one) for one in listed)


def is_inside(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the ranges. One of IPv4 that came in IPv6 clothes is that of IPv4."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in one for one in networks)
