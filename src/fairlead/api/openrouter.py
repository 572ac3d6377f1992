"""GET /v1/providers, /v1/models/count and /v1/model/{id}, in OpenRouter's shapes."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

import msgspec

from fairlead.api.models import Models
from fairlead.doors.table import DEFAULT_DOOR
from fairlead.http.request import Request, Response
from fairlead.serving import Servings

MODEL_PREFIX: Final = "/v1/model/"
JSON_HEAD: Final = b"content-type: application/json\r\nx-content-type-options: nosniff\r\n"


class OpenRouterLists:
    """`models`: as they are listed elsewhere."""

    __slots__ = ("_models", "_servings")

    def __init__(self, servings: Servings, models: Models) -> None:
        self._servings = servings
        self._models = models

    def providers(self, _request: Request, response: Response) -> None:
        """The providers that a model here is served by."""
        snapshot = self._servings.now.snapshot
        used = {one.provider for model in snapshot.models.values() for one in model.deployments}
        unknown = dict.fromkeys(
            ("privacy_policy_url", "terms_of_service_url", "status_page_url", "headquarters", "datacenters")
        )
        _send(response, [{"name": name, "slug": name, **unknown} for name in snapshot.providers if name in used])

    def count(self, request: Request, response: Response) -> None:
        """How many models the caller may call."""
        allowed = self._models.allowed(request, DEFAULT_DOOR)
        callable_ids = self._models.now().callable_ids
        _send(response, {"count": len(callable_ids if allowed is None else callable_ids & allowed)})

    def model(self, request: Request, response: Response) -> None:
        response.send(
            200, JSON_HEAD, b'{"data":%b}' % self._models.entry(unquote(request.path.removeprefix(MODEL_PREFIX)))
        )


def _send(response: Response, data: Any) -> None:
    response.send(200, JSON_HEAD, msgspec.json.encode({"data": data}))
