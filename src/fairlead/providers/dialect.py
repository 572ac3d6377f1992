"""What a dialect is, and what is used of the vendor whose API it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from msgspec import Raw

from fairlead.wire.answer import WriterFactory
from fairlead.wire.vocabulary import Need

# Seconds since 1970.
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Carried:
    """What a dialect makes of the parameters of an operation other than chat: `renames`; `lacks`: what it is never
    sent; `knows`: names outside the API that it has words for. `as_chat`: its completions are written as answers of a
    chat, to one prompt."""

    renames: Mapping[str, str] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()
    knows: frozenset[str] = frozenset()
    as_chat: bool = False


USUAL = Carried()


@dataclass(frozen=True, slots=True)
class Dialect:
    """One row. `speaks`: the vendor whose API it is. `carries`: the parameters that it takes under their own name or a
    renamed one (None: every one). `lacks`: what it is never sent, whatever it carries. `unknown`: which names outside
    the API are passed, where unknown ones are (None: all). `incapable`: the capabilities that it has no word
    for.

    `always_streams`: it is asked for a stream even when the caller wants none, because it stops working for a caller
    who left only then. `bills_cut`: its providers bill an answer to its end although nobody waits for it
    (`Preset.stops_billing` has the source; engines of one's own stop). `asks_usage`: it wants `stream_options` to
    send usage at the end of a stream. `key_header`: the line that its key stands in; `signs`: calls may be
    signed with Amazon's keys instead. `own_parts`: files and audio stand in parts of its own. `telemetry_name`: what
    OpenTelemetry's conventions call the provider, where they have a name for it.

    `carried`: by the names of operations other than chat, where it is not OpenAI's.

    `max_inputs`: how many inputs of embeddings it takes at once, 0: not known.

    `keeps_marks`: in requests that were translated from another API, messages keep the members that are for some
    providers only (`cache_control`, `reasoning_details`).

    `refuses`: members of messages that answers of other providers have, and that it answers with an error.

    `text_results`: it takes results of tools as text alone; images and the like follow in a message of the user's.

    `supports_prefill`: every server that speaks it continues a last assistant message, letter by letter; of others
    their vendor's folder knows, model by model.

    `path` (of chat), `paths` (of other operations, where they are not their vendor's) and `list_path` follow the base
    URL and may hold {deployment}, its name upstream, and {api_version}: the provider's own, or this `api_version`.
    `list_path`: where its models are listed, free of charge; empty: nowhere. `operations`: those of its vendor that its
    providers offer, None: all of them.
    """

    name: str
    carries: frozenset[str] | None
    speaks: str = "openai"
    lacks: frozenset[str] = frozenset()
    unknown: frozenset[str] | None = None
    incapable: frozenset[Need] = frozenset()
    supports_prefill: bool = False
    key_header: str = "authorization: Bearer {key}"
    signs: bool = False
    telemetry_name: str = ""
    headers: bytes = b""
    path: str = "/chat/completions"
    paths: Mapping[str, str] = field(default_factory=dict)
    list_path: str = "/models"
    operations: frozenset[str] | None = None
    api_version: str = ""
    stream_type: bytes = b"text/event-stream"
    passes_unknown: bool = False
    renames: Mapping[str, str] = field(default_factory=dict)
    neutral: Mapping[str, bytes] = field(default_factory=dict)
    always_streams: bool = False
    bills_cut: bool = False
    asks_usage: bool = True
    tool_choice: Literal["as_is", "any", "single_tool"] = "as_is"
    structured: Literal["as_is", "sglang", "llamacpp", "response_format"] = "as_is"
    # What a last assistant message needs so that it is continued: extra members of the body, or of that message.
    prefill_members: Mapping[str, bytes] = field(default_factory=dict)
    prefill_prefix: bool = False
    echoes_prefill: bool = False
    short_tool_ids: bool = False
    own_parts: bool = False
    keeps_marks: bool = False
    refuses: frozenset[str] = frozenset()
    text_results: bool = False
    parses_control_tokens: bool = False
    keeps_connections: bool = True
    max_inputs: int = 0
    carried: Mapping[str, Carried] = field(default_factory=dict)

    def path_of(self, upstream_model: str, api_version: str = "") -> bytes:
        """What a call's path is behind the base URL, for adapters whose calls bring none of their own."""
        return self._filled(self.path, upstream_model, api_version)

    def operation_path(self, operation: str, usual: str, upstream_model: str, api_version: str = "") -> bytes:
        """The path of another operation; `usual`: that of its vendor."""
        return self._filled(self.paths.get(operation, usual), upstream_model, api_version)

    def list_path_of(self, api_version: str = "") -> bytes:
        return self._filled(self.list_path, "", api_version)

    def _filled(self, path: str, deployment: str, api_version: str) -> bytes:
        name = quote(deployment, safe="")
        return path.format(deployment=name, api_version=api_version or self.api_version).encode()


@dataclass(frozen=True, slots=True)
class Binding:
    """One deployment of a provider and one API of callers, as far as adapters depend on them. `defaults`: values for
    parameters that callers leave out; `most_output`: the most tokens of an answer, None: not known; `aws_keys`: what
    calls are signed with, None: with nothing.

    `api`: what the callers speak (`wire/apis.py`); `new_writer` writes its answers, None: they are never translated.
    `path`: of the operation, behind the base URL; empty: adapters know it.
    """

    dialect: Dialect
    public_model: str
    upstream_model: str
    defaults: Mapping[str, Raw]
    clock: Clock
    most_output: int | None = None
    base_url: str = ""
    region: str = ""
    aws_keys: tuple[str, str, str] | None = field(repr=False, default=None)
    api: str = ""
    new_writer: WriterFactory | None = None
    path: bytes = b""


@dataclass(frozen=True, slots=True)
class OperationAPI:
    """How the providers of a vendor offer one operation. `api`: what they speak; `path`: where, behind the base URL, if
    it is neither the dialect's (`Dialect.path`, `Dialect.paths`) nor known to the adapter.

    `native` binds an adapter for callers of the same API, whose bytes are passed on; None: they are translated like the
    others. `translated` binds one for callers of any other API, with their `Binding.new_writer`; None: they cannot be
    served. Both give a `routing.protocols.Adapter`.
    """

    api: str
    native: Callable[[Binding], Any] | None = None
    translated: Callable[[Binding], Any] | None = None
    path: str = ""

    def adapter(self, binding: Binding) -> Any | None:
        """For callers of `binding.api`; None: they cannot be served."""
        if binding.api == self.api and self.native is not None:
            return self.native(binding)
        if self.translated is None or binding.new_writer is None:
            return None
        return self.translated(binding)


def prefill_by_dialect(dialect: Dialect, _model: str) -> bool | None:
    return True if dialect.supports_prefill else None


def every_parameter(dialect: Dialect) -> frozenset[str]:
    return dialect.carries or frozenset()


@dataclass(frozen=True, slots=True)
class VendorAPI:
    """All that is used of a vendor's folder. `dialects`: the rows of those who speak its API.

    `operations`: what they offer, by the names of operations. `supports_prefill` says whether a model (by its name
    upstream) continues the beginning of an answer; False: it refuses one; None: not known, or it starts over.
    `translated`: the parameters that are sent under another name or in another shape.
    """

    name: str
    dialects: tuple[Dialect, ...]
    operations: Mapping[str, OperationAPI]
    supports_prefill: Callable[[Dialect, str], bool | None] = prefill_by_dialect
    translated: Callable[[Dialect], frozenset[str]] = every_parameter
