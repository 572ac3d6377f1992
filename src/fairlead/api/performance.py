"""GET /v1/models/{id}/performance (what was measured) and /v1/models/{id}/endpoints (OpenRouter's shape).

Public like the catalogue, and cheap to ask for: the cache computes each figure once in a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from fairlead.api.models import PREFIX
from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.catalogue.views import limits
from fairlead.errors import InvalidRequest, ModelNotFound, Overloaded
from fairlead.http.request import Request, Response
from fairlead.money import Picodollars
from fairlead.serving import Servings
from fairlead.telemetry.figures import Figures, Measure, Performance
from fairlead.telemetry.performance_cache import PerformanceCache
from fairlead.telemetry.reader import WINDOWS

PERFORMANCE = "/performance"
ENDPOINTS = "/endpoints"
DEFAULT_WINDOW = "24h"
# Those of OpenRouter. A 99th percentile of fewer than a hundred samples is about their maximum.
PERCENTILES = ("p50", "p75", "p90", "p99")
HEAD = (
    b"content-type: application/json\r\nx-content-type-options: nosniff\r\ncache-control: public, max-age=5\r\n"
    b"etag: %b\r\n"
)

Endpoint = Callable[[Request, Response], Coroutine[Any, Any, None] | None]


class Performances:
    """`obstacle(model id)`: why that model cannot be called now, or None."""

    __slots__ = ("_cache", "_obstacle", "_servings")

    def __init__(self, servings: Servings, cache: PerformanceCache, obstacle: Callable[[str], str | None]) -> None:
        self._servings = servings
        self._cache = cache
        self._obstacle = obstacle

    def or_else(self, endpoint: Endpoint) -> Endpoint:
        """What answers for everything below /v1/models/: ids have slashes, so the last word decides, unless the whole
        is the id of a model."""

        def answer(request: Request, response: Response) -> Coroutine[Any, Any, None] | None:
            rest = unquote(request.path.removeprefix(PREFIX))
            if rest not in self._servings.now.snapshot.models:
                if rest.endswith(PERFORMANCE):
                    return self.performance(request, response, self._model(rest.removesuffix(PERFORMANCE)))
                if rest.endswith(ENDPOINTS):
                    return self.endpoints(request, response, self._model(rest.removesuffix(ENDPOINTS)))
            return endpoint(request, response)

        return answer

    async def performance(self, request: Request, response: Response, model: Model) -> None:
        window = parse_qs(request.query).get("window", [DEFAULT_WINDOW])[-1]
        if window not in WINDOWS:
            raise InvalidRequest(f"There is no window {window[:32]!r}: one of {', '.join(WINDOWS)}.", param="window")
        try:
            shown = await self._cache.performance(model.id, window)
        except SQLAlchemyError as error:
            raise _unreadable() from error
        _send(request, response, shown.tag, shown.body)

    async def endpoints(self, request: Request, response: Response, model: Model) -> None:
        try:
            half_hour = (await self._cache.performance(model.id, "30m")).value
            day = (await self._cache.performance(model.id, "24h")).value
        except SQLAlchemyError as error:
            raise _unreadable() from error
        body = msgspec.json.encode({"data": self._endpoints(model, half_hour, day)})
        _send(request, response, b'"%b"' % blake2b(body, digest_size=12).hexdigest().encode(), body)

    async def zero_retention(self, request: Request, response: Response) -> None:
        """The deployments whose provider keeps nothing, as the operator's configuration says."""
        found = []
        try:
            for model in self._servings.now.snapshot.models.values():
                kept = [one for one in model.deployments if one.keeps_data is False]
                if kept:
                    half_hour = (await self._cache.performance(model.id, "30m")).value
                    day = (await self._cache.performance(model.id, "24h")).value
                    found += _all_endpoints(model, kept, half_hour, day)
        except SQLAlchemyError as error:
            raise _unreadable() from error
        body = msgspec.json.encode({"data": found})
        _send(request, response, b'"%b"' % blake2b(body, digest_size=12).hexdigest().encode(), body)

    def _model(self, model_id: str) -> Model:
        model = self._servings.now.snapshot.models.get(model_id)
        if model is None:
            raise ModelNotFound(
                f"The model '{model_id}' does not exist here. GET /v1/models lists the models.", param="model"
            )
        return model

    def _endpoints(self, model: Model, half_hour: Performance, day: Performance) -> dict[str, Any]:
        obstacle = self._obstacle(model.id)
        return {
            "id": model.id,
            "name": model.name,
            "created": model.created,
            "description": model.description,
            "architecture": {
                "modality": f"{'+'.join(model.input_modalities)}->{'+'.join(model.output_modalities)}",
                "input_modalities": model.input_modalities,
                "output_modalities": model.output_modalities,
                "instruct_type": None,
                "tokenizer": None,
            },
            "status": "available" if obstacle is None else "unavailable",
            "endpoints": _all_endpoints(model, model.deployments, half_hour, day),
        }


def _all_endpoints(
    model: Model, deployments: Iterable[Deployment], half_hour: Performance, day: Performance
) -> list[dict[str, Any]]:
    recent = {one.deployment: one.traffic for one in half_hour.deployments}
    daily = {one.deployment: one.traffic for one in day.deployments}
    return [_endpoint(model, one, recent.get(one.id), daily.get(one.id)) for one in deployments]


def _endpoint(model: Model, deployment: Deployment, recent: Figures | None, daily: Figures | None) -> dict[str, Any]:
    rates = deployment.sheet.price.rates
    context, output = limits(model, deployment)
    parameters = [name for name in model.parameters if deployment.parameters is None or name in deployment.parameters]
    return {
        "name": f"{deployment.provider} | {model.name}",
        "model_id": model.id,
        "model_name": model.name,
        "provider_name": deployment.provider,
        "tag": deployment.id,
        "context_length": context,
        "max_completion_tokens": output,
        "quantization": deployment.quantization or "unknown",
        "pricing": {
            "prompt": Picodollars(rates.input).per_token(),
            "completion": Picodollars(rates.output).per_token(),
            "request": Picodollars(rates.request).per_token(),
            "input_cache_read": Picodollars(rates.cached_input).per_token(),
        },
        "supported_parameters": parameters,
        "max_prompt_tokens": None,
        "native_tools": {},
        "service_tier": None,
        "supports_diarization": False,
        "supports_implicit_caching": model.facts.get("capability.prompt_caching").value is True,
        "supports_tool_choice": dict.fromkeys(("auto", "function", "none", "required"), "tool_choice" in parameters),
        "uptime_last_5m": None,
        "uptime_last_30m": _percent(recent),
        "uptime_last_1d": _percent(daily),
        "latency_last_30m": _first_token(recent),
        "throughput_last_30m": None if recent is None else _shares(recent.speed),
    }


def _percent(figures: Figures | None) -> float | None:
    """OpenRouter's uptime is the share of calls served; None where there were too few to say."""
    if figures is None or figures.success.value is None:
        return None
    return round(figures.success.value * 100, 3)


def _first_token(figures: Figures | None) -> dict[str, float | None] | None:
    """OpenRouter's latency is the time to the first token, in seconds."""
    if figures is None or figures.first_token.p50 is None:
        return None
    shown = figures.first_token
    return {name: _seconds(getattr(shown, name)) for name in PERCENTILES}


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds / 1000, 4)


def _shares(measure: Measure) -> dict[str, float | None] | None:
    return None if measure.p50 is None else {name: getattr(measure, name) for name in PERCENTILES}


def _send(request: Request, response: Response, tag: bytes, body: bytes) -> None:
    known = request.header(b"if-none-match")
    if known is not None and tag in known:
        response.send(304, HEAD % tag, b"")
    else:
        response.send(200, HEAD % tag, body)


def _unreadable() -> Overloaded:
    return Overloaded(
        "The performance figures cannot be read at the moment. Try again in a few seconds.", retry_after_seconds=5
    )
