"""The bundled catalogue, and an operator's own files before it.

`fairlead catalogue build` makes one document of the bundled TOML files: reading a hundred of those takes
longer than all the rest of a start, and the one a few milliseconds. A test keeps the two the same.
"""

from __future__ import annotations

from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec
from msgspec import Struct

from fairlead.catalogue.facts import ModelFacts, Vendor
from fairlead.catalogue.files import built_in, model_files, read_model, read_vendors, resolve, text_of
from fairlead.catalogue.lint import lint
from fairlead.errors import ConfigurationError

COMPILED = "catalogue.json"


class Catalogue(Struct, frozen=True):
    """Models by id and vendors by slug."""

    models: dict[str, ModelFacts]
    vendors: dict[str, Vendor]


def load_catalogue(directory: Path | None = None) -> Catalogue:
    """The bundled files and, before them, the operator's own files. Raises ConfigurationError for a contradiction."""
    found = msgspec.json.decode((built_in() / COMPILED).read_bytes(), type=Catalogue)
    if directory is None:
        return found
    if not directory.is_dir():
        raise ConfigurationError(f"The catalogue {directory} is not a directory.")
    models, vendors = read_catalogue(directory, directory / "vendors.toml")
    whole = Catalogue({**found.models, **models}, {**found.vendors, **vendors})
    for problem in lint(whole.models.values(), whole.vendors):
        if problem.model in models:
            raise ConfigurationError(f"{directory}: {problem}")
    return whole


def compile_built_in() -> bytes:
    """The bundled TOML files as one document, a model a line, so that a change is a line."""
    models, vendors = read_catalogue(built_in() / "models", built_in() / "vendors.toml")
    encode = msgspec.json.Encoder(order="deterministic").encode
    lines = b",\n".join(encode(name) + b":" + encode(facts) for name, facts in sorted(models.items()))
    return b'{"vendors":%b,\n"models":{\n%b\n}}\n' % (encode(vendors), lines)


def read_catalogue(
    directory: Path | Traversable, vendors: Path | Traversable
) -> tuple[dict[str, ModelFacts], dict[str, Vendor]]:
    models: dict[str, ModelFacts] = {}
    for name, text in model_files(directory):
        place = f"{directory}/{name}"
        facts = resolve(read_model(text, place))
        if facts.id in models:
            raise ConfigurationError(f"{place}: the model {facts.id!r} is defined in another file, too.")
        models[facts.id] = facts
    return models, read_vendors(text_of(vendors), str(vendors)) if vendors.is_file() else {}
