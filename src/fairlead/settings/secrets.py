"""Keys and headers as they are sent: from an environment variable, a file, a command, or sealed in the database."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import fields

from fairlead.errors import ConfigurationError
from fairlead.settings.sections import (
    Doc,
    EnvironmentKey,
    File,
    ProviderSettings,
    Secret,
    SecretSource,
    Settings,
    TelemetrySettings,
)

# Bytes of a secret; and how long a command may take to print one.
LONGEST_SECRET = 16_384
COMMAND_SECONDS = 10.0
# Settings of a provider that are secrets, beside its keys.
AWS_SECRETS = ("access_key_id", "secret_access_key", "session_token")


@cache
def secret_settings() -> frozenset[tuple[str, str]]:
    """The settings whose values are never shown, as (section, name)."""
    found = set()
    for section, hint in get_type_hints(File).items():
        shape = get_args(hint)[0] if get_origin(hint) is tuple else hint
        for name, kind in get_type_hints(shape, include_extras=True).items():
            if any(isinstance(given, Doc) and given.secret for given in getattr(kind, "__metadata__", ())):
                found.add((section, name))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """A key of a provider as it is sent. `label`: where it is from, to be shown; `source`: where to look whether it has
    become another one; None: it stays."""

    label: str
    value: str = field(repr=False)
    source: SecretSource | None = field(repr=False, default=None)


class Secrets:
    """Reads secrets where settings say that they are; what a command printed is good for its `refresh_seconds`. Usable
    from any thread.

    `sealed`: gives a secret of the database by its name; None: there is no database here.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        sealed: Callable[[str], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = environment
        self._sealed = sealed
        self._clock = clock
        self._printed: dict[tuple[str, ...], tuple[str, float]] = {}
        self._held: dict[SecretSource, str | ConfigurationError] = {}

    def held(self, settings: Settings) -> Secrets:
        """These, with what the providers of a configuration need read already: a command or the database may take its
        time, and an event loop must not wait for it."""
        ready = Secrets(self._environment, self._sealed, self._clock)
        ready._printed = self._printed
        for provider in settings.providers:
            given = (provider.api_key, *provider.api_keys, *(getattr(provider, name) for name in AWS_SECRETS))
            for source in given:
                if isinstance(source, SecretSource):
                    try:
                        ready._held[source] = self._found(source, f"provider {provider.id!r}")
                    except ConfigurationError as error:
                        ready._held[source] = error
        return ready

    def value(self, secret: Secret, owner: str) -> str:
        """The secret itself, one line of printable characters. `owner`: whose it is, for errors. May wait for a
        command or the database. Raises ConfigurationError."""
        if isinstance(secret, str):
            return _checked(secret, owner)
        found = self._held.get(secret)
        if isinstance(found, ConfigurationError):
            raise found
        return _checked(self._found(secret, owner) if found is None else found, owner)

    @property
    def environment(self) -> Mapping[str, str]:
        return os.environ if self._environment is None else self._environment

    def _found(self, source: SecretSource, owner: str) -> str:
        if source.env is not None:
            return self._variable(source.env, owner)
        if source.file is not None:
            return _first_line(self._file(source.file, owner), source.file, owner)
        if source.command is not None:
            return self._command(source.command, source.refresh_seconds, owner)
        if self._sealed is None or source.sealed is None:
            raise ConfigurationError(f"The secret of {owner} is sealed in the database, which is not open here.")
        return self._sealed(source.sealed)

    def _variable(self, name: str, owner: str) -> str:
        value = self.environment.get(name)
        if not value:
            raise ConfigurationError(f"The environment variable {name} is not set; set it to the key of {owner}.")
        return value

    @staticmethod
    def _file(path: str, owner: str) -> str:
        try:
            with Path(path).expanduser().open("rb") as file:
                return file.read(LONGEST_SECRET + 1).decode()
        except (OSError, UnicodeDecodeError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            raise ConfigurationError(f"The file {path} with the key of {owner} cannot be read: {reason}.") from None

    def _command(self, command: tuple[str, ...], seconds: float, owner: str) -> str:
        found = self._printed.get(command)
        now = self._clock()
        if found is not None and now - found[1] < seconds:
            return found[0]
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own command
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS, check=False
            )
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            reason = "took too long" if isinstance(error, subprocess.TimeoutExpired) else f"cannot be run: {error}"
            raise ConfigurationError(f"The command {command[0]!r} for the key of {owner} {reason}.") from None
        if done.returncode:  # what it has said may hold a secret
            raise ConfigurationError(
                f"The command {command[0]!r} for the key of {owner} failed with status {done.returncode}."
            )
        value = _first_line(done.stdout[: LONGEST_SECRET + 1].decode("utf-8", "replace"), command[0], owner)
        self._printed[command] = value, now
        return value


class Unread(Secrets):
    """In place of secrets, where a configuration is checked and nobody is called: each is a word, and none is read."""

    def value(self, secret: Secret, owner: str) -> str:
        del owner
        return secret if isinstance(secret, str) else "unread"


def sources_of(value: object) -> Iterator[SecretSource]:
    """Where the secrets of a configuration come from, in whatever setting they are."""
    if isinstance(value, SecretSource):
        yield value
    elif isinstance(value, EnvironmentKey):
        yield SecretSource(env=value.env)
    elif isinstance(value, Struct):
        for name in _names(type(value)):
            yield from sources_of(getattr(value, name))
    elif isinstance(value, Mapping):
        yield from (found for one in value.values() for found in sources_of(one))
    elif isinstance(value, tuple):
        yield from (found for one in value for found in sources_of(one))


@cache
def _names(kind: type[Struct]) -> tuple[str, ...]:
    """msgspec reads the annotations of a class again each time."""
    return tuple(one.name for one in fields(kind))


def label(secret: Secret) -> str:
    """Where a secret is, without the secret."""
    if isinstance(secret, str):
        return "in the configuration"
    if secret.command is not None:
        return f"command {secret.command[0]}"
    kind = secret.kinds[0]
    return f"{kind} {getattr(secret, kind)}"


def provider_keys(provider: ProviderSettings, secrets: Secrets) -> tuple[ProviderKey, ...]:
    """The keys of a provider, none when it needs none. Raises ConfigurationError when one cannot be read."""
    given = provider.api_keys or (() if provider.api_key is None else (provider.api_key,))
    return tuple(
        ProviderKey(
            label(one),
            secrets.value(one, f"provider {provider.id!r}"),
            one if isinstance(one, SecretSource) and one.changes else None,
        )
        for one in given
        if one != ""
    )


def aws_keys(provider: ProviderSettings, secrets: Secrets) -> tuple[str, str, str] | None:
    """(access key id, secret access key, session token or "") of a provider whose requests are signed; None when they
    are not. Raises ConfigurationError."""
    if provider.access_key_id is None and provider.secret_access_key is None:
        return None if provider.profile is None else _profile_keys(provider.id, provider.profile, secrets.environment)
    given = (provider.access_key_id, provider.secret_access_key, provider.session_token)
    owner = f"provider {provider.id!r}"
    key_id, secret, token = ("" if one is None else secrets.value(one, owner) for one in given)
    if not key_id or not secret:
        raise ConfigurationError(f"Provider {provider.id!r} requires both access_key_id and secret_access_key.")
    return key_id, secret, token


def aws_credentials_file(environment: Mapping[str, str]) -> Path:
    """Amazon's shared credentials file: https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html"""
    named = environment.get("AWS_SHARED_CREDENTIALS_FILE")
    return Path(named) if named else Path(environment.get("HOME") or Path.home()) / ".aws" / "credentials"


def _profile_keys(provider: str, profile: str, environment: Mapping[str, str]) -> tuple[str, str, str]:
    file = aws_credentials_file(environment)
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a valid credentials file"
        raise ConfigurationError(
            f"The credentials file {file} of provider {provider!r} cannot be read: {reason}."
        ) from None
    if not parser.has_section(profile):
        raise ConfigurationError(f"{file} has no profile {profile!r}, as configured for provider {provider!r}.")
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    key_id, secret, token = (parser.get(profile, name, fallback="") for name in names)
    if not key_id or not secret:
        raise ConfigurationError(
            f"The profile {profile!r} of {file} has no aws_access_key_id and aws_secret_access_key. Roles and other "
            "sources of credentials are not supported."
        )
    return key_id, secret, token


def _first_line(text: str, where: str, owner: str) -> str:
    value = text.partition("\n")[0].strip()
    if not value:
        raise ConfigurationError(f"{where} has no key of {owner}: its first line is empty.")
    return value


def _checked(value: str, owner: str) -> str:
    if len(value) > LONGEST_SECRET or (value and not re.fullmatch(r"[\x21-\x7e]+", value)):
        raise ConfigurationError(
            f"The key of {owner} contains spaces or characters that are not allowed in a header, or is too long."
        )
    return value


def otlp_headers(settings: TelemetrySettings, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers for OpenTelemetry's receiver. Raises ConfigurationError when a variable is not set."""
    environment = os.environ if environment is None else environment
    found = {}
    for name, value in settings.otlp_headers.items():
        if isinstance(value, EnvironmentKey):
            if not environment.get(value.env):
                raise ConfigurationError(
                    f"The environment variable {value.env} is not set; set it to the value of the OTLP header {name!r}."
                )
            value = environment[value.env]
            if not re.fullmatch(r"[\x20-\x7e]+", value):
                raise ConfigurationError(
                    f"The OTLP header {name!r} contains characters that are not allowed in a header."
                )
        found[name] = value
    return found
