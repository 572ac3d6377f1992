"""What a caller wants of the provider that serves a call: the `provider` object of a request.

Names and meaning are OpenRouter's (its page on provider routing); `regions` is ours. A member that is not known is
refused: a wish that is silently ignored may send a prompt where it must not go.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Sort = Literal["price", "throughput", "latency", "balanced", "priority", "weighted"]
# Added to a model's id, as OpenRouter has it: only what is free; the fastest first; the cheapest first.
FREE = ":free"
SUFFIXES = (FREE, ":nitro", ":floor")

_Names = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(max_length=64)]
_Dollars = Annotated[float, Meta(ge=0)]


class MaxPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """The most that it may cost: dollars per million tokens, `request` in dollars per request."""

    prompt: _Dollars | None = None
    completion: _Dollars | None = None
    request: _Dollars | None = None
    image: _Dollars | None = None


class Preferences(Struct, frozen=True, forbid_unknown_fields=True):
    """`order`, `only` and `ignore` name providers (`mistral`) or deployments (`mistral/mistral-small-latest`)."""

    order: _Names | None = None
    only: _Names | None = None
    ignore: _Names | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    sort: Sort | None = None
    max_price: MaxPrice | None = None
    quantizations: _Names | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    regions: _Names | None = None
