"""GET /v1/models and /v1/models/{id}: the catalogue as data. Rendered once per snapshot, not per request."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec

from fairlead.accounts.keys import KeyRing
from fairlead.api.auth import authenticate_if_sent
from fairlead.catalogue.snapshot import Model, Snapshot
from fairlead.errors import ModelNotFound
from fairlead.http.request import Request, Response
from fairlead.money import Picodollars
from fairlead.serving import Servings
from fairlead.wire.models import Architecture, ModelEntry, ModelList, Pricing

JSON_HEAD = b"content-type: application/json\r\nx-content-type-options: nosniff\r\n"
PREFIX = "/v1/models/"
# Codex, which sends its version, reads its own descriptions of models there, and fails without the member. It keeps
# those that it ships for what is not listed.
FOR_CODEX = b',"models":[]}'


class ModelLists:
    """The models of one snapshot as JSON."""

    __slots__ = ("all", "callable", "callable_ids", "one", "snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        entries = [entry(model) for model in snapshot.models.values()]
        servable = tuple(item for item in entries if item.deployments)
        self.all = msgspec.json.encode(ModelList(data=tuple(entries)))
        self.callable = msgspec.json.encode(ModelList(data=servable))
        self.callable_ids = frozenset(item.id for item in servable)
        self.one = {item.id: msgspec.json.encode(item) for item in entries}


class Models:
    """Lists what can be called here; `?all=true` adds the rest of the catalogue. A key is not needed; one that may use
    some models only sees those."""

    __slots__ = ("_keys", "_lists", "_servings")

    def __init__(self, servings: Servings, keys: KeyRing) -> None:
        self._keys = keys
        self._servings = servings
        self._lists = ModelLists(servings.now.snapshot)

    def _now(self) -> ModelLists:
        snapshot = self._servings.now.snapshot
        if self._lists.snapshot is not snapshot:
            self._lists = ModelLists(snapshot)
        return self._lists

    def list(self, request: Request, response: Response) -> None:
        body = self._listed(request)
        if request.query.startswith("client_version=") or "&client_version=" in request.query:
            body = body[:-1] + FOR_CODEX
        response.send(200, JSON_HEAD, body)

    def _listed(self, request: Request) -> bytes:
        allowed = self._allowed(request)
        everything = "all=true" in request.query.split("&")
        lists = self._now()
        if allowed is None:
            return lists.all if everything else lists.callable
        shown = allowed if everything else allowed & lists.callable_ids
        entries = b",".join(body for name, body in lists.one.items() if name in shown)
        return b'{"object":"list","data":[%b]}' % entries

    def _allowed(self, request: Request) -> frozenset[str] | None:
        """The models of the key that came with the request; None: all. Raises Unauthenticated or Forbidden."""
        caller = authenticate_if_sent(request, self._keys)
        return None if caller is None else caller.models

    def one(self, request: Request, response: Response) -> None:
        model_id = unquote(request.path.removeprefix(PREFIX))
        body = self._now().one.get(model_id)
        if body is None:
            raise ModelNotFound(
                f"The model '{model_id}' does not exist here. GET /v1/models lists what there is.", param="model"
            )
        response.send(200, JSON_HEAD, body)


def entry(model: Model) -> ModelEntry:
    return ModelEntry(
        id=model.id,
        created=model.created,
        owned_by=model.vendor,
        name=model.name,
        description=model.description,
        context_length=model.context_length,
        max_output_tokens=model.max_output_tokens,
        architecture=Architecture(tuple(model.input_modalities), tuple(model.output_modalities)),
        capabilities=tuple(model.capabilities),
        supported_parameters=tuple(model.parameters),
        default_parameters=dict(model.defaults),
        pricing=_pricing(model),
        deployments=len(model.deployments),
        demonstration=model.demonstration,
        mode=model.mode,
        aliases=model.aliases,
        knowledge_cutoff=model.facts.text("knowledge_cutoff"),
    )


def _pricing(model: Model) -> Pricing | None:
    """The price of the first deployment: the one that serves while it is healthy."""
    if not model.deployments:
        return None
    rates = model.deployments[0].sheet.price.rates
    taken, given = Picodollars(rates.input), Picodollars(rates.output)
    return Pricing(
        prompt=taken.per_token(),
        completion=given.per_token(),
        input_per_million=taken.per_million(),
        output_per_million=given.per_million(),
    )
