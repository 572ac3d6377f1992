"""Keys that stand in a configuration document: sealed before the document goes into the database, and named in it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fairlead.errors import ConfigurationError
from fairlead.providers.sealed import SealKey, seal_key
from fairlead.settings.secrets import AWS_SECRETS
from fairlead.store import Store
from fairlead.toml.text import Path_, Scanner

KEYS = ("api_key", "api_keys", *AWS_SECRETS)
LONGEST_ID = 48  # of a provider, in the name of its key


class SealedDocument(NamedTuple):
    """`text` has `{ sealed = "NAME" }` in the place of each key of a provider; `secrets`: those keys by these names,
    not sealed yet; `key`: what to seal them with, None where there are none."""

    text: str
    secrets: Mapping[str, str]
    key: SealKey | None


def sealed_document(text: str, store: Store, *, make: bool = False) -> SealedDocument:
    """The document without keys. `text` is a valid configuration. The seal key is that of `store`, and is made when
    `make` is set; without one a document stays as it is. The same key of the same provider always gets the same name,
    so nothing seems to change when a document is applied again. Raises ConfigurationError."""
    found = list(_keys_in(text))
    if not found:
        return SealedDocument(text, {}, None)
    try:
        key = seal_key(store, make=make)
    except ConfigurationError:
        if make:
            raise
        return SealedDocument(text, {}, None)
    providers = tomllib.loads(text)["providers"]
    pieces, at = [], 0
    secrets: dict[str, str] = {}
    for provider, (start, end), secret in found:
        name = f"{providers[provider]['id'][:LONGEST_ID]}-{key.name_of(secret)}"
        secrets[name] = secret
        pieces += [text[at:start], f'{{ sealed = "{name}" }}']
        at = end
    return SealedDocument("".join((*pieces, text[at:])), secrets, key)


def _keys_in(text: str) -> Iterator[tuple[int, tuple[int, int], str]]:
    """The place of a provider in the list, where the value stands, and the key."""
    scanner = Scanner(text)
    list(scanner.scan())
    for path, (start, end) in scanner.values:
        provider = _provider_of(path)
        if provider is not None:
            secret = tomllib.loads(f"x = {text[start:end]}")["x"]
            if isinstance(secret, str) and secret:
                yield provider, (start, end), secret


def _provider_of(path: Path_) -> int | None:
    """Whose key a value is; None where it is no key, but for example the name of its place."""
    match path:
        case ("providers", int(provider), str(name)) | ("providers", int(provider), str(name), int()):
            return provider if name in KEYS else None
    return None
