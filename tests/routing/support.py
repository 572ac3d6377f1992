"""Deployments for tests of routing: real ones, whose pools are never used."""

from __future__ import annotations

import json
from typing import Any

from tests.http.support import pool_to

from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.operations.chat.operation import CHAT
from fairlead.prices import PriceSheet, Schedule, rates_from
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.openai.adapter import OpenAIChat
from fairlead.routing.demand import Demand
from fairlead.routing.needs import lacks_of
from fairlead.routing.upstream import Servable, Upstream, servable, unit_price
from fairlead.wire.apis import CHAT_COMPLETIONS
from fairlead.wire.chat import ChatRequest, parse_chat


def model(name: str = "m", **facts: Any) -> Model:
    return Model(
        id=name, name=name, vendor="v", description="", created=0,
        **{"context_length": 32_768, "max_output_tokens": 4096, "input_modalities": ("text", "image"), **facts},
    )  # fmt: skip


def upstream(name: str, *, price: str = "1", of: Model | None = None, dialect: str = "vllm", **facts: Any) -> Upstream:
    """`name` is `provider/upstream model`."""
    of = of or model()
    row = DIALECTS[dialect]
    sheet = PriceSheet(name, Schedule(rates_from({"input": price, "output": price})))
    provider, _, upstream_model = name.partition("/")
    deployment = Deployment(name, provider, upstream_model, sheet, **{"weight": 1.0, "priority": 0, **facts})
    return Upstream(
        deployment, CHAT, {CHAT_COMPLETIONS: OpenAIChat(row, of.id, upstream_model)}, pool_to("http://127.0.0.1:1/v1"), b"/chat/completions", b"", b"",
        model_id=of.id, lacks=lacks_of(of, deployment, row.carries, row.passes_unknown),
        context=deployment.context_length or of.context_length, unit_price=unit_price(sheet),
    )  # fmt: skip


def offer(*upstreams: Upstream, of: Model | None = None) -> Servable:
    return servable(of or model(), upstreams)


def demand(**given: Any) -> Demand:
    return CHAT.demand(request(**given))


def request(**given: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello!"}], **given}
    return parse_chat(json.dumps(body).encode())
