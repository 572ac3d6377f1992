"""Channels of new-api as providers and deployments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from fairlead.admin.importing.document import (
    DEFAULT_DIALECT,
    LONGEST_ID,
    Document,
    Table,
    as_id,
    check_base_url,
    is_model_id,
    needed_lacks,
)
from fairlead.admin.importing.new_api.prices import Prices
from fairlead.admin.importing.new_api.source import Row, Source
from fairlead.admin.importing.report import Path, Report
from fairlead.admin.importing.secrets import Vault, as_env
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.presets import PRESETS

ENABLED = 1
MOST_MAPPED = 20  # a model_mapping may lead to another name in it
LONGEST_UPSTREAM = 256
LONGEST_SECRET = 8_192


class ChannelType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of types.toml."""

    preset: str = ""
    base_url: str = ""
    path: str = ""
    key: Literal["", "parts"] = ""
    version: bool = False
    why: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    new_api: dict[str, ChannelType]
    one_api: dict[str, ChannelType]


_TYPES = msgspec.toml.decode((files(__package__) / "types.toml").read_bytes(), type=_File)
_NOT_HERE = ChannelType(why="no provider here speaks the API of this type of channel")
# Columns without a counterpart.
NOT_MAPPED: Mapping[str, str] = {
    "openai_organization": "no header of an organization is sent: use a key that belongs to this organization",
    "test_model": "probes use the deployments themselves",
    "status_code_mapping": "status codes of providers are not changed",
    "auto_ban": "circuit breakers take a failing deployment out, and back in",
    "tag": "there are no tags",
    "remark": "remarks are not kept",
    "setting": "settings of one channel have no counterpart: see HTTPS_PROXY and the dialects",
    "settings": "settings of one channel have no counterpart: see the dialects",
    "config": "settings of one channel have no counterpart: see the dialects",
    "system_prompt": "requests are not changed: let callers send it",
    "param_override": "requests are not changed: see `defaults` of a model and `parameters` of a deployment",
    "header_override": "headers for one provider cannot be set",
    "group": "groups become lists of models of the keys",
}


class Groups(NamedTuple):
    """Models by group, and all of them."""

    models: Mapping[str, frozenset[str]]
    everything: frozenset[str]


class Channels:
    """Puts channels into a document. `tree`: what the report shows of them, without the columns that say nothing."""

    def __init__(self, source: Source, document: Document, vault: Vault, prices: Prices) -> None:
        self._source, self._document, self._vault, self._prices = source, document, vault, prices
        self._types = _TYPES.one_api if source.is_one_api else _TYPES.new_api
        self._groups: dict[str, set[str]] = {}
        self._unpriced: list[str] = []
        used = sorted({_whole(row.get("priority")) for row in source.channels}, reverse=True)
        self._priorities = {given: at for at, given in enumerate(used)}

    @staticmethod
    def tree(source: Source) -> list[dict[str, object]]:
        return [
            {name: "" if name == "key" else value for name, value in row.items() if not _is_empty(value)}
            for row in source.channels
        ]

    def add(self, report: Report) -> Groups:
        for at, row in enumerate(self._source.channels):
            self._channel(row, ("channels", at), report)
        if self._unpriced:
            names = ", ".join(dict.fromkeys(self._unpriced))
            report.note(
                f"No price was found of {names}: left out, because every call would be free. Add them yourself."
            )
        everything = frozenset(self._document.models)
        return Groups({name: frozenset(found) for name, found in self._groups.items()}, everything)

    def _channel(self, row: Row, place: Path, report: Report) -> None:
        known = self._types.get(str(row.get("type")), _NOT_HERE)
        if _whole(row.get("status"), ENABLED) != ENABLED:
            report.not_mapped(place, "the channel is disabled")
            return
        if known.why:
            report.not_mapped(place, known.why)
            return
        settings = self._address(known, row)
        if settings is None:
            report.not_mapped(place, "the channel has no address, or none such as https://host")
            return
        keys = list(self._keys(row))
        providers = list(self._providers(known, row, settings, keys))
        if not providers:
            report.not_mapped(place, "its key is not in the form that this type of channel needs")
            return
        self._claims(row, place, len(keys), report)
        self._models(row, place, providers, report)

    def _claims(self, row: Row, place: Path, keys: int, report: Report) -> None:
        shares = "a provider" if keys == 1 else f"a provider with its {keys} keys that are enabled"
        for name, to in (
            ("id", shares), ("name", shares), ("type", "preset or dialect of the provider"),
            ("status", "it is enabled"),
            ("key", "`api_key` from a variable in secrets.env"), ("channel_info", "which keys are enabled"),
            ("priority", "`priority`: lower numbers serve first"), ("weight", "`weight`"),
            ("base_url", "`base_url` of the provider"),
        ):  # fmt: skip
            if not _is_empty(row.get(name)):
                report.mapped((*place, name), to)
        for name, value in row.items():
            if name in NOT_MAPPED and not _is_empty(value):
                report.not_mapped((*place, name), NOT_MAPPED[name])
        if row.get("other"):
            versioned = self._types[str(row["type"])].version
            (report.mapped if versioned else report.not_mapped)(
                (*place, "other"),
                "`api_version` of the provider" if versioned else "only some types of channels use it",
            )

    # --- the provider

    def _address(self, known: ChannelType, row: Row) -> Table | None:
        preset = PRESETS.get(known.preset)
        own = str(row.get("base_url") or "").strip().rstrip("/")
        base = own or known.base_url
        settings: Table = {"preset": known.preset} if preset else {}
        if not base:
            return settings if preset is not None and (preset.base_url) else None
        if not base.endswith(known.path):
            base += known.path
        if preset is not None and preset.base_url and _host(base) != _host(preset.base_url):
            dialect = DIALECTS[preset.dialect]
            settings = {} if dialect.speaks == DIALECTS[DEFAULT_DIALECT].speaks else {"dialect": dialect.name}
        settings["base_url"] = base
        if known.version and (version := str(row.get("other") or "").strip()):
            if not version.replace("-", "").replace(".", "").isalnum() or len(version) > 32:
                return None
            settings["api_version"] = version
        return None if check_base_url(base) else settings

    def _keys(self, row: Row) -> Iterator[str]:
        """The keys of a channel that are enabled: one, or one on each line, or a JSON list."""
        text = str(row.get("key") or "").strip()
        found = [line.strip() for line in text.split("\n")]
        if text.startswith("["):
            try:
                listed = json.loads(text)
            except (ValueError, RecursionError):
                listed = None
            if isinstance(listed, list):
                found = [one if isinstance(one, str) else json.dumps(one) for one in listed]
        states = _table(row.get("channel_info")).get("multi_key_status_list")
        disabled = {name for name, state in states.items() if state != ENABLED} if isinstance(states, dict) else set()
        for at, key in enumerate(found):
            if str(at) not in disabled and len(key) <= LONGEST_SECRET:
                yield key

    def _providers(self, known: ChannelType, row: Row, settings: Table, keys: list[str]) -> Iterator[str]:
        """The ids of the providers with these keys, none when they cannot be keys: one, which takes them in turn, or
        one for each key that is made of parts."""
        if known.key == "parts":
            for at, key in enumerate(keys):
                if (own := self._parts(row, key, at)) is not None:
                    yield self._named(row, {**settings, **own})
            return
        if not all(map(_is_key, filter(None, keys))):
            return
        secrets = [self._secret(row, key, at) for at, key in enumerate(keys) if key]
        given = {"api_key": secrets[0]} if len(secrets) == 1 else {"api_keys": secrets} if secrets else {}
        yield self._named(row, {**settings, **given})

    def _parts(self, row: Row, key: str, at: int) -> Table | None:
        """KEY|SECRET|REGION or KEY|REGION."""
        *secrets, region = key.split("|")
        if len(secrets) not in (1, 2) or not all(map(_is_key, secrets)) or not region.replace("-", "").isalnum():
            return None
        if len(secrets) == 1:
            return {"region": region, "api_key": self._secret(row, secrets[0], at)}
        words = ("access_key_id", "secret_access_key")
        return {
            "region": region,
            **{name: self._secret(row, one, at, f"_{name}") for name, one in zip(words, secrets, strict=True)},
        }

    def _secret(self, row: Row, secret: str, at: int, more: str = "") -> Table:
        number = f"_{at + 1}" if at else ""
        return as_env(self._vault.name_for(secret, f"CHANNEL_{_whole(row.get('id'))}_KEY{number}{more}"))

    def _named(self, row: Row, settings: Table) -> str:
        name = as_id(str(row.get("name") or ""), LONGEST_ID - 6)
        wanted = name if name != as_id("") else f"channel-{_whole(row.get('id'))}"
        return self._document.provider(wanted, settings).id

    # --- its models

    def _models(self, row: Row, place: Path, providers: list[str], report: Report) -> None:
        mapping = {name: to for name, to in _table(row.get("model_mapping")).items() if isinstance(to, str)}
        given = [name.strip() for name in str(row.get("models") or "").split(",") if name.strip()]
        groups = [name.strip() for name in str(row.get("group") or "default").split(",") if name.strip()]
        added, odd = [], []
        for name in dict.fromkeys(given):
            upstream = _mapped(name, mapping)
            if not is_model_id(name) or not 0 < len(upstream) <= LONGEST_UPSTREAM:
                odd.append(name)
                continue
            price = self._prices.of(name)
            if price is None:
                self._unpriced.append(name)
                continue
            added.append(name)
            for group in groups:
                self._groups.setdefault(group, set()).add(name)
            for provider in providers:
                self._deployment(name, provider, upstream, price, row)
        for column in ("models", "model_mapping"):
            if row.get(column):
                report.mapped((*place, column), f"{len(added)} of {len(given)} models")
        if odd:
            report.add("not_mapped", f"channels[{place[1]}].models", f"{len(odd)} names cannot be ids of models")

    def _deployment(self, name: str, provider: str, upstream: str, price: Table, row: Row) -> None:
        model = self._document.model(name)
        weight = max(1, min(_whole(row.get("weight")), 1_000_000))
        for known in model.deployments:
            if (known["provider"], known["upstream_model"]) == (provider, upstream):
                known["weight"] = known.get("weight", 1) + weight
                return
        deployment: Table = {"provider": provider, "upstream_model": upstream, "price": price}
        if weight != 1:
            deployment["weight"] = weight
        if priority := self._priorities[_whole(row.get("priority"))]:
            deployment["priority"] = priority
        if lacks := needed_lacks(name, self._document.providers[provider], upstream):
            deployment["lacks"] = lacks
        model.deployments.append(deployment)


def _mapped(name: str, mapping: Mapping[str, str]) -> str:
    """Where a name leads in a mapping, which may have chains and circles."""
    for _ in range(MOST_MAPPED):
        to = mapping.get(name)
        if not to or to == name:
            break
        name = to
    return name


def _is_empty(value: Any) -> bool:
    return value in (None, "", "{}", "[]", "null", b"{}")


def _is_key(text: str) -> bool:
    """What may stand in a header."""
    return bool(text) and all("!" <= letter <= "~" for letter in text)


def _table(text: Any) -> dict[str, Any]:
    if isinstance(text, dict):  # a column of PostgreSQL's own JSON
        return text
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _whole(value: Any, default: int = 0) -> int:
    """A whole number of a column, which in SQLite may be anything."""
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else default


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
