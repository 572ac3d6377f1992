"""The variables that are read, and where the configuration file, the database and the data are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fairlead.compiled import PURE
from fairlead.errors import ConfigurationError
from fairlead.settings.sections import EnvironmentKey, Settings


class Variable(NamedTuple):
    """An environment variable, or several of one meaning, with its line of the reference."""

    name: str
    meaning: str


CONFIG = Variable("FAIRLEAD_CONFIG", "the file, when there is no `--config`")
DATA = Variable(
    "FAIRLEAD_DATA",
    "the data directory, when there is no `--data`; else `$XDG_DATA_HOME/fairlead` or `~/.local/share/fairlead`",
)
DATABASE_URL = Variable("FAIRLEAD_DATABASE_URL", "the database, before `url` of `[database]`")
SEAL_KEY = Variable(
    "FAIRLEAD_SEAL_KEY",
    "the key that provider credentials are sealed with ([credentials]), 32 bytes in base64; else the file `seal.key` "
    "in the data directory",
)
DATABASE_URL_FILE = Variable(
    "FAIRLEAD_DATABASE_URL_FILE", "a file whose first line is the URL of the database, as containers mount secrets"
)
VALKEY_URL = Variable("FAIRLEAD_VALKEY_URL", "the Valkey server, before `valkey` of `[limits]`")
VALKEY_URL_FILE = Variable("FAIRLEAD_VALKEY_URL_FILE", "a file whose first line is that URL")
SEAL_KEY_FILE = Variable("FAIRLEAD_SEAL_KEY_FILE", "a file whose first line is that key")
PROXIES = Variable(
    "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY",
    "proxies for providers; lower-case names take precedence. `NO_PROXY` has names, domains, addresses and ranges such "
    "as `10.0.0.0/8`; names are not looked up for it",
)
SOURCES_ONLY = Variable(PURE, "set to anything: the sources run, although they have been compiled ([compiled])")
VARIABLES = (
    CONFIG, DATA, DATABASE_URL, DATABASE_URL_FILE, VALKEY_URL, VALKEY_URL_FILE, SEAL_KEY, SEAL_KEY_FILE, PROXIES,
    SOURCES_ONLY,
)  # fmt: skip


def secret_variable(variable: Variable, environment: Mapping[str, str]) -> str | None:
    """A variable, or the first line of the file that the one with `_FILE` names; None: neither is set. Raises
    ConfigurationError."""
    given, path = environment.get(variable.name), environment.get(f"{variable.name}_FILE")
    if not path:
        return given or None
    if given:
        raise ConfigurationError(f"Set {variable.name} or {variable.name}_FILE, not both.")
    try:
        value = Path(path).read_text("utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ConfigurationError(f"The file {path} of {variable.name}_FILE cannot be read: {reason}.") from None
    if not value:
        raise ConfigurationError(f"The file {path} of {variable.name}_FILE is empty.")
    return value


def database_url(settings: Settings, environment: Mapping[str, str] | None = None) -> str | None:
    """FAIRLEAD_DATABASE_URL, else [database] url, else None: SQLite. Raises ConfigurationError."""
    return _url(DATABASE_URL, settings.database.url, "database", environment)


def valkey_url(settings: Settings, environment: Mapping[str, str] | None = None) -> str | None:
    """FAIRLEAD_VALKEY_URL, else [limits] valkey, else None: each process counts alone. Raises ConfigurationError."""
    return _url(VALKEY_URL, settings.limits.valkey, "Valkey server", environment)


def _url(
    variable: Variable, given: str | EnvironmentKey | None, of: str, environment: Mapping[str, str] | None
) -> str | None:
    environment = os.environ if environment is None else environment
    if named := secret_variable(variable, environment):
        return named
    if isinstance(given, EnvironmentKey):
        value = environment.get(given.env)
        if not value:
            raise ConfigurationError(f"The environment variable {given.env} is not set; set it to the URL of the {of}.")
        return value
    return given


def data_directory(given: Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """--data, else FAIRLEAD_DATA, else the place for a user's data."""
    environment = os.environ if environment is None else environment
    if given is not None:
        return given.expanduser().absolute()
    if named := environment.get(DATA.name):
        return Path(named).expanduser().absolute()
    if base := environment.get("XDG_DATA_HOME"):
        return Path(base).absolute() / "fairlead"
    try:
        return Path("~/.local/share").expanduser().absolute() / "fairlead"
    except RuntimeError:
        raise ConfigurationError(f"No home directory found; set --data or {DATA.name}.") from None


def configuration_file(given: Path | None, environment: Mapping[str, str] | None = None) -> Path | None:
    """--config, else FAIRLEAD_CONFIG, else none."""
    environment = os.environ if environment is None else environment
    named = environment.get(CONFIG.name)
    return given if given is not None else Path(named) if named else None
