"""GET /v1/models and /v1/models/{id}: the catalogue as data. Rendered once per snapshot, not per request."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

import msgspec

from fairlead.accounts.key_ring import KeyRing
from fairlead.accounts.management_keys import is_management_key
from fairlead.api.auth import identify
from fairlead.api.ids import with_alias
from fairlead.api.litellm import litellm_info
from fairlead.catalogue.snapshot import Model, Snapshot
from fairlead.doors.door import Door, ModelShape
from fairlead.doors.table import DEFAULT_DOOR, DoorRow
from fairlead.errors import ModelNotFound
from fairlead.http.request import Request, Response
from fairlead.money import Picodollars
from fairlead.serving import Servings
from fairlead.wire.models import Architecture, Links, ModelEntry, ModelList, Pricing, TopProvider

JSON_HEAD = b"content-type: application/json\r\nx-content-type-options: nosniff\r\n"
PREFIX = "/v1/models/"
# Codex, which sends its version, reads its own descriptions of models there, and fails without the member. It keeps
# those that it ships for what is not listed.
FOR_CODEX = b',"models":[]}'


class ModelLists:
    """The models of one snapshot as JSON. `shaped`: each as the clients of a door read it, once they have asked."""

    __slots__ = ("all", "callable", "callable_ids", "entries", "infos", "modes", "one", "shaped", "snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.entries = entries = [entry(model) for model in snapshot.models.values()]
        self.shaped: dict[ModelShape, dict[str, bytes]] = {}
        servable = tuple(item for item in entries if item.deployments)
        self.all = msgspec.json.encode(ModelList(tuple(entries), len(entries)))
        self.callable = msgspec.json.encode(ModelList(servable, len(servable)))
        self.callable_ids = frozenset(item.id for item in servable)
        self.modes = {item.id: item.mode for item in entries}
        self.infos: dict[str, bytes] = {}  # once somebody has asked
        self.one = {item.id: msgspec.json.encode(item) for item in entries}

    def shown(self, shape: ModelShape) -> dict[str, bytes]:
        found = self.shaped.get(shape)
        if found is None:
            found = self.shaped[shape] = {item.id: shape.one(item) for item in self.entries}
        return found


class Models:
    """Lists what can be called here; `?all=true` adds the rest of the catalogue. A key is not needed; one that may use
    some models only sees those."""

    __slots__ = ("_keys", "_lists", "_servings", "_shaped")

    def __init__(self, servings: Servings, keys: KeyRing) -> None:
        self._shaped: list[DoorModels] = []
        self._keys = keys
        self._servings = servings
        self._lists = ModelLists(servings.now.snapshot)

    def now(self) -> ModelLists:
        snapshot = self._servings.now.snapshot
        if self._lists.snapshot is not snapshot:
            self._lists = ModelLists(snapshot)
        return self._lists

    def add(self, other: DoorModels) -> None:
        """Clients with its header are answered by it."""
        self._shaped.append(other)

    def _other(self, request: Request) -> DoorModels | None:
        for other in self._shaped:
            for name in other.shape.headers:
                if request.header(name) is not None:
                    return other
        return None

    def list(self, request: Request, response: Response) -> None:
        other = self._other(request)
        if other is not None:
            other.list(request, response)
            return
        body = self._listed(request)
        if request.query.startswith("client_version=") or "&client_version=" in request.query:
            body = body[:-1] + FOR_CODEX
        response.send(200, JSON_HEAD, body)

    def allowed(self, request: Request, door: Door) -> frozenset[str] | None:
        """The models of the key that came with the request; None: all. Raises Unauthenticated or Forbidden."""
        key = door.credential(request)
        if key is None or is_management_key(key):
            return None
        return identify(request, self._keys, door).caller.models

    def _listed(self, request: Request) -> bytes:
        allowed = self.allowed(request, DEFAULT_DOOR)
        everything = "all=true" in request.query.split("&")
        lists = self.now()
        if allowed is None:
            return lists.all if everything else lists.callable
        shown = allowed if everything else allowed & lists.callable_ids
        bodies = [body for name, body in lists.one.items() if name in shown]
        return b'{"object":"list","data":[%b],"total_count":%d,"links":{"next":null}}' % (
            b",".join(bodies),
            len(bodies),
        )

    def info(self, request: Request, response: Response) -> None:
        """What can be called here, in LiteLLM's format."""
        allowed = self.allowed(request, DEFAULT_DOOR)
        lists = self.now()
        if not lists.infos:
            lists.infos = {
                model.id: litellm_info(model) for model in lists.snapshot.models.values() if model.deployments
            }
        shown = [body for name, body in lists.infos.items() if allowed is None or name in allowed]
        response.send(200, JSON_HEAD, b'{"data":[%b]}' % b",".join(shown))

    def one(self, request: Request, response: Response) -> None:
        other = self._other(request)
        if other is not None:
            other.one(request, response)
            return
        model_id = unquote(request.path.removeprefix(PREFIX))
        response.send(200, JSON_HEAD, _found(self.now().one, model_id, PREFIX, self.allowed(request, DEFAULT_DOOR)))

    def entry(self, model_id: str) -> bytes:
        """As JSON. Raises ModelNotFound."""
        return _found(self.now().one, model_id, PREFIX)


class DoorModels:
    """The same as the clients of a door list them."""

    __slots__ = ("_door", "_models", "_modes", "_request_id", "shape")

    def __init__(self, models: Models, row: DoorRow) -> None:
        assert row.models is not None
        self.shape = row.models
        self._door = row.door
        self._request_id = row.request_id
        self._modes = row.operation.modes
        self._models = models
        models.add(self)

    def _name(self, response: Response) -> None:
        if self._request_id:
            response.extra = with_alias(response.extra, self._request_id)

    def list(self, request: Request, response: Response) -> None:
        self._name(response)
        allowed = self._models.allowed(request, self._door)
        lists = self._models.now()
        shown = [
            body
            for name, body in lists.shown(self.shape).items()
            if name in lists.callable_ids and lists.modes[name] in self._modes and (allowed is None or name in allowed)
        ]
        response.send(200, JSON_HEAD, self.shape.listed(shown, request.query))

    def one(self, request: Request, response: Response) -> None:
        self._name(response)
        allowed = self._models.allowed(request, self._door)
        path = request.path
        own = self.shape.path
        below = own + "/" if own and path.startswith(own) else PREFIX
        model_id = unquote(path.removeprefix(below)).removeprefix("models/")
        response.send(200, JSON_HEAD, _found(self._models.now().shown(self.shape), model_id, below, allowed))


def _found(bodies: Mapping[str, bytes], model_id: str, below: str, allowed: frozenset[str] | None = None) -> bytes:
    """`allowed`: the models of the caller's key; None: all."""
    body = bodies.get(model_id) if allowed is None or model_id in allowed else None
    if body is None:
        listed = below.removesuffix("/")
        limited = "" if allowed is None else ", or this key may not use it"
        raise ModelNotFound(
            f"The model '{model_id}' does not exist here{limited}. GET {listed} lists the models.", param="model"
        )
    return body


def entry(model: Model) -> ModelEntry:
    return ModelEntry(
        id=model.id,
        created=model.created,
        owned_by=model.vendor,
        name=model.name,
        description=model.description,
        context_length=model.context_length,
        max_output_tokens=model.max_output_tokens,
        architecture=Architecture(
            tuple(model.input_modalities),
            tuple(model.output_modalities),
            f"{'+'.join(model.input_modalities)}->{'+'.join(model.output_modalities)}",
        ),
        capabilities=tuple(model.capabilities),
        supported_parameters=tuple(model.parameters),
        default_parameters=dict(model.defaults),
        pricing=_pricing(model),
        deployments=len(model.deployments),
        demonstration=model.demonstration,
        canonical_slug=model.id,
        links=Links(f"/api/v1/models/{quote(model.id)}/endpoints"),
        top_provider=TopProvider(model.context_length, model.max_output_tokens),
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
