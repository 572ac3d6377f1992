"""Keys and headers as they are sent: settings that name an environment variable or a credentials file."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

from fairlead.errors import ConfigurationError
from fairlead.settings.sections import Doc, EnvironmentKey, File, ProviderSettings, TelemetrySettings


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


def api_key(provider: ProviderSettings, environment: Mapping[str, str] | None = None) -> str:
    """The key of a provider, "" when it needs none. Raises ConfigurationError when its variable is not set."""
    return _secret(provider, provider.api_key, environment)


def aws_keys(provider: ProviderSettings, environment: Mapping[str, str] | None = None) -> tuple[str, str, str] | None:
    """(access key id, secret access key, session token or "") of a provider whose requests are signed; None when they
    are not. Raises ConfigurationError."""
    if provider.access_key_id is None and provider.secret_access_key is None:
        return None if provider.profile is None else _profile_keys(provider.id, provider.profile, environment)
    given = (provider.access_key_id, provider.secret_access_key, provider.session_token)
    key_id, secret, token = (_secret(provider, key, environment) for key in given)
    if not key_id or not secret:
        raise ConfigurationError(f"Provider {provider.id!r} requires both access_key_id and secret_access_key.")
    return key_id, secret, token


def aws_credentials_file(environment: Mapping[str, str]) -> Path:
    """Amazon's shared credentials file: https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html"""
    named = environment.get("AWS_SHARED_CREDENTIALS_FILE")
    return Path(named) if named else Path(environment.get("HOME") or Path.home()) / ".aws" / "credentials"


def _profile_keys(provider: str, profile: str, environment: Mapping[str, str] | None) -> tuple[str, str, str]:
    file = aws_credentials_file(os.environ if environment is None else environment)
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


def _secret(provider: ProviderSettings, key: str | EnvironmentKey | None, environment: Mapping[str, str] | None) -> str:
    environment = os.environ if environment is None else environment
    if isinstance(key, EnvironmentKey):
        value = environment.get(key.env)
        if not value:
            raise ConfigurationError(
                f"The environment variable {key.env} is not set; set it to the key of provider {provider.id!r}."
            )
        key = value
    if key and not re.fullmatch(r"[\x21-\x7e]+", key):
        raise ConfigurationError(
            f"The key of provider {provider.id!r} contains spaces or characters that are not allowed in a header."
        )
    return key or ""


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
