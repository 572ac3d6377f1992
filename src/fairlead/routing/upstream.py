"""A deployment that can be called: its facts, its connections, its dialect, bound together once per snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.errors import FairleadError
from fairlead.http.client import Pool
from fairlead.http.exchange import Exchange
from fairlead.prices import PriceSheet
from fairlead.providers.scrub import HIDDEN
from fairlead.routing.credentials import OF_THE_KEY, Credentials
from fairlead.routing.demand import Operation
from fairlead.routing.media_tokens import MOST_IMAGE_TOKENS, most_image_tokens
from fairlead.routing.needs import BATCH, HARD, MEDIA
from fairlead.routing.protocols import Adapter, Call, Gate, Measured
from fairlead.wire.notes import CallNotes

# A key of fewer characters is not looked for in what a provider says.
LEAST_HIDDEN = 6
# Where the context of a model is not known: a little more than the longest that there is (Llama 4 Scout, 10 million).
MOST_CONTEXT_TOKENS = 16_777_216


@dataclass(frozen=True)
class Upstream:
    """`adapters`: by the API that callers speak (`Payload.api`).

    `path` follows the provider's base URL, `headers` are ready lines; both are made once, not per call.
    `bare_headers`: without the type of the body and the constant lines of its API.

    `model_id`: what it is called here; `lacks`: what it is known not to have (`needs`); `context`: the most tokens of
    prompt and answer, None: not known; `output`: the most tokens of an answer by this deployment's own limit, None: it
    has none; `unit_price`: picodollars of a thousand tokens in and 300 out, to compare by.
    `supports_prefill`: its dialect can continue the beginning of an answer, so that it may take over a stream.

    `translated`: parameters that it gets under another name or in another shape.

    `costs`: it has a price or a cost. `bills_cut`: that, and the provider bills an answer to its end although nobody
    waits for it any more. `family`: whose tokenizer counts what it does not report.

    `probe`: what it is asked when nobody calls there: "call" (one word), "list" (its provider's list of models, at
    `list_path`), or "off": nothing.

    `served_at`: the path of this API where calls of its model's mode are made, "" where none is.

    `forward_sessions`: it is sent the session and the user that callers name.

    `most_inputs`: how many inputs it takes at once, 0: as many as there are.

    `credentials`: its provider's keys, where they are several or may be replaced; else the key is in `headers`.
    `secrets`: keys as they are, to be taken out of what the provider says.

    `most_prompt`, `most_output`: the tokens that a prompt, and an answer without a cap, can have at all.
    """

    deployment: Deployment
    operation: Operation
    adapters: Mapping[str, Adapter]
    pool: Pool
    path: bytes
    headers: bytes
    answer_headers: bytes
    costs: bool = True
    bills_cut: bool = False
    family: str | None = None
    gate: Gate | None = None
    translate: Callable[[FairleadError], FairleadError] | None = None
    model_id: str = ""
    lacks: int = 0
    context: int | None = None
    output: int | None = None
    unit_price: int = 0
    supports_prefill: bool = True
    translated: frozenset[str] = frozenset()
    measured: Measured | None = None
    probed: Measured | None = None
    probe: str = "off"
    list_path: bytes = b""
    bare_headers: bytes = b""
    most_prompt: int = MOST_CONTEXT_TOKENS
    most_output: int = MOST_CONTEXT_TOKENS
    served_at: str = ""
    most_inputs: int = 0
    forward_sessions: bool = False
    credentials: Credentials | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)


def send(upstream: Upstream, call: Call, more_headers: bytes = b"") -> Exchange:
    """Begins a call; `more_headers` are ready lines."""
    path = upstream.path if call.path is None else call.path
    headers = upstream.bare_headers if call.bare else upstream.headers
    if upstream.credentials is None:
        return upstream.pool.request(b"POST", path, headers + call.headers + more_headers, call.body)
    key = upstream.credentials.next(upstream.deployment.id)
    exchange = upstream.pool.request(b"POST", path, headers + key.line + call.headers + more_headers, call.body)
    exchange.key = key
    return exchange


def key_rest(upstream: Upstream, exchange: Exchange | None, error: FairleadError) -> float | None:
    """Where an error is of the key alone that a call was sent with: makes that key rest, and gives the seconds until
    another one can be used; 0: at once. None: it is of the deployment, or of its provider's only key."""
    credentials = upstream.credentials
    if credentials is None or len(credentials.keys) == 1 or exchange is None or error.policy.verdict not in OF_THE_KEY:
        return None
    return credentials.rest(upstream.deployment.id, getattr(exchange, "key", None), error)


def hide_keys(upstream: Upstream, error: FairleadError) -> None:
    """Takes the provider's keys out of what it has written about an error, whatever they look like."""
    keys = upstream.secrets
    if upstream.credentials is not None:
        keys = (*keys, *(key.value for key in upstream.credentials.keys))
    for key in keys:
        if len(key) < LEAST_HIDDEN:
            continue  # a word like any other
        if key in error.message:
            error.message = error.message.replace(key, HIDDEN)
        if error.param is not None and key in error.param:
            error.param = None
        if error.native_body and key.encode() in error.native_body:
            error.native_body = error.native_body.replace(key.encode(), HIDDEN.encode())
        if error.details is not None and key in str(error.details):
            error.details = None


def session_lines(upstream: Upstream, notes: CallNotes) -> bytes:
    """Header lines with a call's session and user, for a provider to which the operator forwards them; else none."""
    return notes.lines() if upstream.forward_sessions else b""


def is_stream(adapter: Adapter, exchange: Exchange) -> bool:
    """Whether what comes is a stream of events, as it was asked for."""
    kind = exchange.header(b"content-type")
    return kind is not None and kind.lower().lstrip().startswith(adapter.stream_type)


@dataclass(frozen=True)
class Servable:
    """A model with everything that can serve it, in the configured order. `paid`: some of it has a price.

    `simple`: there is one deployment, which has no limits of its own, so that there is nothing to decide for a call
    that needs none of what it `lacks` (bits of `routing/needs.py`). `least_context`: up to so many bytes a prompt fits
    everywhere, with the longest answer that a deployment's own limit allows; None: nobody needs to know. `context`,
    `output`: the most tokens of prompt and answer, and of an answer, at any of them; None: not known of one.
    `image_tokens`: the most for one image. `apis`: whose callers all of them can serve.
    """

    model: Model
    upstreams: tuple[Upstream, ...]
    paid: bool
    simple: bool = False
    lacks: int = 0
    least_context: int | None = None
    measured: Measured | None = None
    apis: frozenset[str] = frozenset()
    context: int | None = None
    output: int | None = None
    image_tokens: int = MOST_IMAGE_TOKENS


def servable(model: Model, upstreams: Sequence[Upstream], measured: Measured | None = None) -> Servable:
    """A model and its deployments, with what is known of them once and for all."""
    limited = any(upstream.deployment.context_length or upstream.output for upstream in upstreams)
    fits = [upstream.context - (upstream.output or 0) for upstream in upstreams if upstream.context is not None]
    contexts = [upstream.context or model.context_length for upstream in upstreams] or [model.context_length]
    outputs = [_output(model, upstream) for upstream in upstreams] or [model.max_output_tokens]
    only = upstreams[0] if len(upstreams) == 1 else None
    # What has more than text is always planned.
    looked_at = HARD & ~MEDIA | BATCH
    return Servable(
        model,
        tuple(upstreams),
        paid=any(not upstream.deployment.sheet.free for upstream in upstreams),
        simple=only is not None and not limited and only.deployment.max_concurrent is None,
        lacks=0 if only is None else only.lacks & looked_at,
        least_context=min(fits) if fits and (limited or len(upstreams) > 1) else None,
        measured=measured,
        apis=frozenset.intersection(*(frozenset(upstream.adapters) for upstream in upstreams))
        if upstreams
        else frozenset(),
        context=None if None in contexts else max(filter(None, contexts)),
        output=None if None in outputs else max(filter(None, outputs)),
        image_tokens=max(
            (most_image_tokens(upstream.deployment.upstream_model) for upstream in upstreams), default=MOST_IMAGE_TOKENS
        ),
    )


def _output(model: Model, upstream: Upstream) -> int | None:
    """The longest answer that may come from there, in tokens."""
    context = upstream.context or model.context_length
    output = upstream.output or model.max_output_tokens or context
    return min(output, context) if output is not None and context is not None else output


def unit_price(sheet: PriceSheet) -> int:
    rates = sheet.price.rates
    return rates.input * 1000 + rates.output * 300 + rates.request
