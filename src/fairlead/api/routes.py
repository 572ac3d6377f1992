"""The table of the API's routes: everything that is served below the site, who may call it, and how it is described.

A path is listed here, or in the table of doors when calls are made there, and nowhere else: `Dispatch` is built from
both, and so is /openapi.json.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, TypeVar

from fairlead.accounts.key_ring import KeyRing
from fairlead.accounts.management_keys import is_management_key
from fairlead.api.auth import authenticate, authenticate_if_sent
from fairlead.api.credit import Credit
from fairlead.api.dispatch import DATA_PLANE_PREFIX, ByAction, Endpoint, PrefixRoutes, Routes
from fairlead.api.health import HealthChecks
from fairlead.api.management.endpoint import Management, credential_of
from fairlead.api.management.table import ACTIONS
from fairlead.api.models import DoorModels, Models
from fairlead.api.openrouter import OpenRouterLists
from fairlead.api.performance import Performances
from fairlead.api.receipts import Receipts
from fairlead.api.stored import StoredResponses
from fairlead.doors.table import BELOW, DOORS
from fairlead.http.request import Request, Response

# What a call may be refused with, besides 401.
CALL_STATUSES = (400, 402, 403, 404, 429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The objects that answer. `calls`, `counts`, `lists`: by the name of their door's row. `metrics`: None where they
    are not served here."""

    calls: Mapping[str, Endpoint]
    counts: Mapping[str, Endpoint]
    plan: Endpoint
    models: Models
    lists: Mapping[str, DoorModels]
    performance: Performances
    receipts: Receipts
    credit: Credit
    access: Endpoint
    checks: HealthChecks
    openapi: Endpoint
    metrics: Endpoint | None
    stored: StoredResponses
    management: Management
    openrouter: OpenRouterLists


@dataclass(frozen=True, slots=True)
class Route:
    """A method of a path. A path ends with at most one member in braces, whose value may hold slashes; routes that go
    on behind it share its endpoint.

    `who`: anyone, a caller with a key, a management key with `scope`, or either of the two.
    `summary`: one sentence, `details`: what else a caller should know; both are Markdown in the documentation.
    `body` and `answer`: the name of a schema in `openapi.SCHEMAS`, or ""; `query`: names with what they mean,
    `optional` when none of them is needed; `streams`: it may answer with server-sent events; `statuses`: besides 200,
    and those of a key that is no good.
    """

    method: str
    path: str
    endpoint: Callable[[Endpoints], Endpoint | None]
    who: Literal["anyone", "key", "management", "either"]
    tag: str
    summary: str
    details: str = ""
    answer: str = "Object"
    body: str = ""
    media_type: str = "application/json"
    query: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False
    streams: bool = False
    statuses: tuple[int, ...] = ()
    scope: str = ""  # of a management key
    status: int = 200  # of success

    @property
    def takes_key(self) -> bool:
        """Anyone may call, and a key that is sent must be valid, so that a caller with an old one notices."""
        return self.who == "anyone" and self.path.startswith(DATA_PLANE_PREFIX)


def unless_bad_key(endpoint: Endpoint, keys: KeyRing) -> Endpoint:
    """Refuses a key that is unknown, has ended, or may not be used from the caller's network."""

    def answer(request: Request, response: Response) -> Coroutine[Any, Any, None] | None:
        key = credential_of(request)
        if key is None or not is_management_key(key):  # its owner sees here what anyone sees
            authenticate_if_sent(request, keys)
        return endpoint(request, response)

    return answer


def known_first(endpoint: Endpoint, keys: KeyRing) -> Endpoint:
    """Finds the caller before a coroutine begins, so that `Dispatch` can wait for a key that is looked up."""

    def answer(request: Request, response: Response) -> Coroutine[Any, Any, None] | None:
        authenticate(request, keys)
        return endpoint(request, response)

    return answer


def either(endpoint: Endpoint, management: Management) -> Endpoint:
    """What a key for calls and a management key may both ask for."""

    def answer(request: Request, response: Response) -> Coroutine[Any, Any, None] | None:
        key = credential_of(request)
        found = management if key is not None and is_management_key(key) else endpoint
        return found(request, response)

    return answer


def _model(endpoints: Endpoints) -> Endpoint:
    """Whatever is below /v1/models/: ids have slashes, so the end of the path decides."""
    return endpoints.performance.or_else(endpoints.models.one)


def _stored(endpoints: Endpoints) -> Endpoint:
    """A stored response, or the items of its request: the end of the path decides."""
    return endpoints.stored.read


ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/v1/responses/{id}", _stored, "key", "Chat", "Retrieve a stored response.",
        "Only where the operator has `[responses] store` on, and only a response of your own account.",
        answer="Response", statuses=(400, 404),
    ),
    Route(
        "GET", "/v1/responses/{id}/input_items", _stored, "key", "Chat",
        "List the input items of a stored response, newest first.",
        "With those of the responses that it continues. Pages as OpenAI's: the next one begins `after` the last id.",
        query={
            "limit": "How many to list, from 1 to 100. Default: 20.",
            "order": "`asc` or `desc`. Default: `desc`.",
            "after": "The id behind which the page begins.",
        },
        statuses=(400, 404),
    ),
    Route(
        "DELETE", "/v1/responses/{id}", lambda to: to.stored.delete, "key", "Chat", "Delete a stored response.",
        statuses=(404,),
    ),
    Route(
        "POST", "/v1/responses/{id}/cancel", lambda to: to.stored.cancel, "key", "Chat", "Cancel a response.",
        "Cancels a background response (`background: true`) and disconnects its provider. One that "
        "has ended is returned as it is.",
        answer="Response", statuses=(400, 404),
    ),
    Route(
        "POST", "/v1/plan", lambda to: to.plan, "key", "Chat",
        "Show how a chat request would be routed now.",
        "Takes the body of a chat completion and returns the candidates in order, with their scores, and every "
        "rejected deployment with the reason. No provider is called and nothing is charged.",
        body="ChatRequest", statuses=(400, 403, 404),
    ),
    Route(
        "GET", "/v1/models", lambda to: to.models.list, "anyone", "Models", "List the models.",
        "OpenAI's fields, and context length, limits, modalities, parameters, defaults and prices. A key that is "
        "restricted to certain models sees only those. Clients with the header `anthropic-version` or `x-api-key` get "
        "Anthropic's format, those with `x-goog-api-key` Gemini's; `client_version` adds the member that Codex needs.",
        answer="ModelList",
        query={"all": "true: also the models of the catalogue that have no deployment here."}, optional=True,
    ),
    Route(
        "GET", "/v1/model/info", lambda to: to.models.info, "anyone", "Models",
        "List the models in LiteLLM's format.",
        "Limits, capabilities and prices per token, for clients that were made for LiteLLM.",
    ),
    Route(
        "GET", "/v1/models/count", lambda to: to.openrouter.count, "anyone", "Models", "Count the models.",
        "In OpenRouter's format. A key that is restricted to certain models counts only those.",
    ),
    Route(
        "GET", "/v1/models/user", lambda to: to.models.list, "key", "Models", "List the models that the key may call.",
        "The same entries as `GET /v1/models`.", answer="ModelList",
    ),
    Route(
        "GET", "/v1/endpoints/zdr", lambda to: to.performance.zero_retention, "anyone", "Models",
        "List the deployments whose provider keeps nothing.",
        "Those of providers with `keeps_data = false`, in OpenRouter's format.", statuses=(503,),
    ),
    Route(
        "GET", "/v1/providers", lambda to: to.openrouter.providers, "anyone", "Models",
        "List the providers that serve models here.", "In OpenRouter's format.",
    ),
    Route(
        "GET", "/v1/models/{id}", _model, "anyone", "Models", "Retrieve a model.", answer="ModelEntry", statuses=(404,)
    ),
    Route(
        "GET", "/v1/model/{id}", lambda to: to.openrouter.model, "anyone", "Models",
        "Retrieve a model, in OpenRouter's format.", "`data` is the entry of `GET /v1/models/{id}`.", statuses=(404,),
    ),
    Route(
        "GET", "/v1/models/{id}/performance", _model, "anyone", "Models",
        "Retrieve the measured performance of a model.",
        "First-token time, output speed, latency, success and uptime, for the model as callers saw it and for each "
        "deployment. A figure with too few samples is null and has a reason.",
        query={"window": "30m, 1h, 24h, 7d or 30d. Default: 24h."}, optional=True, statuses=(400, 404, 503),
    ),
    Route(
        "GET", "/v1/models/{id}/endpoints", _model, "anyone", "Models",
        "List the deployments of a model.",
        "In OpenRouter's format: provider, prices, limits, parameters, and uptime, latency and throughput of the last "
        "30 minutes.",
        statuses=(404,),
    ),
    Route(
        "GET", "/v1/generation", lambda to: to.receipts.generation, "key", "Billing",
        "Retrieve the usage and cost of a call.",
        "In OpenRouter's format. Only calls of your own account are visible.",
        query={"id": "The value of x-fairlead-generation-id."}, statuses=(400, 404),
    ),
    Route(
        "GET", "/v1/receipts/{id}", lambda to: to.receipts.receipt, "key", "Billing",
        "Retrieve the receipt of a call.",
        "Usage by token class, the price sheet, and one line with a formula for each class, so that the charge can be "
        "recomputed.",
        statuses=(404,),
    ),
    Route(
        "GET", "/v1/key", lambda to: to.credit.key, "either", "Billing",
        "Retrieve the usage and the limits of the key.",
        "limit, limit_remaining and limit_reset describe the budget, or the credit, with the least left. A management "
        "key has neither.", scope="read",
    ),
    Route(
        "GET", "/v1/access", lambda to: to.access, "key", "Billing",
        "Show what the key may call, and which rule says so.",
        "Every rule of the key, its member, its project and its account: state, expiry, network, models, credit, "
        "budgets, limits, caps of each end user. `refused_by` is the first one that refuses. Nothing is called or "
        "charged.",
        query={"model": "The model to ask about. Default: none; then `models` lists those that may be called."},
        optional=True,
    ),
    Route(
        "GET", "/v1/credits", lambda to: to.credit.credits, "either", "Billing",
        "Retrieve the credit of the account: granted, used and remaining.",
        "With a management key: of all prepaid accounts, or of the one that it is confined to.", scope="read",
    ),
    Route(
        "POST", "/v1/credits/redeem", lambda to: to.credit.redeem, "key", "Billing",
        "Redeem a credit code.", "Adds the value of the code to the account. A code works once.",
        body="Redeem", statuses=(400,),
    ),
    Route(
        "GET", "/healthz", lambda to: to.checks.process, "anyone", "Operations", "Check that the process is alive."
    ),
    Route(
        "GET", "/readyz", lambda to: to.checks.ready, "anyone", "Operations",
        "Check that calls can be served.", "503 lists the reasons; warnings are for the operator.", statuses=(503,),
    ),
    Route(
        "GET", "/health/liveliness", lambda to: to.checks.alive, "anyone", "LiteLLM",
        "Check that the process is alive, as LiteLLM does.", answer="Text",
    ),
    Route(
        "GET", "/health/readiness", lambda to: to.checks.readiness, "anyone", "LiteLLM",
        "Check that calls can be served, as LiteLLM does.", statuses=(503,),
    ),
    Route(
        "GET", "/model/info", lambda to: to.models.info, "anyone", "LiteLLM", "List the models in LiteLLM's format.",
        "The same as `GET /v1/model/info`.",
    ),
    Route(
        "GET", "/openapi.json", lambda to: to.openapi, "anyone", "Operations", "Retrieve this API as OpenAPI 3.1.",
    ),
    Route(
        "GET", "/metrics", lambda to: to.metrics, "anyone", "Operations", "Retrieve metrics for Prometheus.",
        "`metrics` in `[server]` closes it, or gives it an address of its own.",
        answer="Text", media_type="text/plain",
    ),
)  # fmt: skip


def _of_pages(_endpoints: Endpoints) -> None:
    """The public pages answer."""


# What the public pages have for programs. Listed here, so that it is described with the rest.
PAGE_ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "GET", "/api/catalogue.json", _of_pages, "anyone", "Catalogue",
        "List the whole catalogue with facts, deployments and prices, page by page.",
        "Models that are not deployed here are in it, with list prices. `next` is the address of the next page, also "
        "as a `Link` header. With `If-None-Match`, the answer is 304 while nothing has changed.",
        answer="CataloguePage", query={"page": "The number of a page, from 1."}, optional=True, statuses=(404, 503),
    ),
    Route(
        "GET", "/models.json", _of_pages, "anyone", "Catalogue", "Filter and order the catalogue as its page does.",
        "Each model's page is data too: `/models/{vendor}/{model}.json`.",
        query={
            "q": "Words, all of which are in the id, name, vendor or description.",
            "provider": "The id of a provider; several are alternatives.",
            "capability": "A capability; all that are named.",
            "sort": "What to order by; `-` before it goes down.",
            "page": "The number of a page, from 1.",
        },
        optional=True, statuses=(503,),
    ),
    Route(
        "GET", "/rankings.json", _of_pages, "anyone", "Catalogue",
        "Rank the models by tokens of calls through this server.",
        query={"period": "`day`, `week` (without it) or `month`."}, optional=True, statuses=(503,),
    ),
    Route(
        "GET", "/status.json", _of_pages, "anyone", "Catalogue",
        "Retrieve what can be called, 90 days of uptime, and incidents.",
        "`status` in `[server]` closes it, or gives it an address of its own.", statuses=(404, 503),
    ),
)  # fmt: skip


# By their path: where else calls are served, because LiteLLM's clients have no `/v1` in their base URL.
AT_ROOT: Final[Mapping[str, str]] = {
    path: path.removeprefix(DATA_PLANE_PREFIX.rstrip("/"))
    for row in DOORS.values()
    if row.at_root
    for path in row.paths
    if path.startswith(DATA_PLANE_PREFIX)
}


def call_routes() -> Iterator[Route]:
    """The routes of calls, from the table of doors."""
    for row in DOORS.values():
        endpoint = partial(_call, row.name)
        for path in row.paths:
            yield Route(
                "POST", path, endpoint, "key", row.operation.name.capitalize(), row.summary,
                row.details, answer=row.answer, body=row.body, streams=row.streams, statuses=CALL_STATUSES,
            )  # fmt: skip


def count_routes() -> Iterator[Route]:
    """Where the tokens of a request are counted, from the same table."""
    for row in DOORS.values():
        endpoint = partial(_count, row.name)
        for path in row.count_paths:
            yield Route(
                "POST", path, endpoint, "key", row.operation.name.capitalize(),
                "Count the tokens of a prompt.", row.counting,
                body=row.body, statuses=(400, 403, 404),
            )  # fmt: skip


def model_routes() -> Iterator[Route]:
    """Where the clients of a dialect list models, from the same table."""
    for row in DOORS.values():
        if row.models is not None and row.models.path:
            lists, one = partial(_list, row.name), partial(_one, row.name)
            yield Route(
                "GET", row.models.path, lists, "anyone", "Models", "List the models, in the format of this API.",
                query={"pageSize": "How many to list, from 1 to 1,000. Default: 50.", "pageToken": "The page."},
                optional=True,
            )  # fmt: skip
            yield Route(
                "GET", f"{row.models.path}/{{id}}", one, "anyone", "Models",
                "Retrieve a model, in the format of this API.", statuses=(404,),
            )  # fmt: skip


def _list(name: str, endpoints: Endpoints) -> Endpoint:
    return endpoints.lists[name].list


def _one(name: str, endpoints: Endpoints) -> Endpoint:
    return endpoints.lists[name].one


def _count(name: str, endpoints: Endpoints) -> Endpoint:
    return endpoints.counts[name]


def _call(name: str, endpoints: Endpoints) -> Endpoint:
    return endpoints.calls[name]


def management_routes() -> Iterator[Route]:
    """The routes of the management API, from the table of actions."""
    for action in ACTIONS:
        if action.listed:
            yield Route(
                action.method, action.path, _management, _WHO[action.open_to], action.tag, action.summary,
                action.details, body="" if action.body is None else action.body.__name__, query=action.query,
                optional=True, statuses=(400, 403, 404) if action.method == "GET" else (400, 403, 404, 409, 413, 422),
                scope=action.scope, status=action.status,
            )  # fmt: skip


_WHO: Final[Mapping[str, Literal["anyone", "management", "either"]]] = {
    "": "management", "caller": "either", "anyone": "anyone",
}  # fmt: skip


def _management(endpoints: Endpoints) -> Endpoint:
    return endpoints.management


def all_routes() -> list[Route]:
    return [*call_routes(), *count_routes(), *model_routes(), *ROUTES, *PAGE_ROUTES, *management_routes()]


def served(endpoints: Endpoints) -> list[Route]:
    """The routes that have an endpoint here."""
    return [route for route in all_routes() if route.endpoint(endpoints) is not None]


def with_body(routes: Iterable[Route]) -> Iterator[str]:
    """The paths that take a body, without those of management, which decides for itself. All of them need a key: a body
    is read only for a caller who is known."""
    for route in routes:
        if route.method == "POST" and route.body and route.endpoint is not _management:
            assert route.who == "key", f"{route.path} would read the bodies of strangers"
            yield route.path
            if route.path.startswith(DATA_PLANE_PREFIX):
                yield BELOW + route.path
            if route.path in AT_ROOT:
                yield AT_ROOT[route.path]


def _below(endpoint: Endpoint) -> Endpoint:
    """The same endpoint below `/api`, where clients of OpenRouter expect it."""

    def answer(request: Request, response: Response) -> Coroutine[Any, Any, None] | None:
        request.path = request.path.removeprefix(BELOW)
        return endpoint(request, response)

    return answer


def _any_below(one: Endpoint | ByAction) -> Endpoint | ByAction:
    if not isinstance(one, ByAction):
        return _below(one)
    made = ByAction()
    made.known = {action: _below(endpoint) for action, endpoint in one.known.items()}
    return made


T = TypeVar("T", Endpoint, Endpoint | ByAction)


def _with_those_below(table: dict[str, dict[str, T]], below: Callable[[T], T]) -> dict[str, dict[str, T]]:
    lower = {
        BELOW + path: {method: below(endpoint) for method, endpoint in methods.items()}
        for path, methods in table.items()
        if path.startswith(DATA_PLANE_PREFIX)
    }
    return {**lower, **table}


def tables(routes: Iterable[Route], endpoints: Endpoints, keys: KeyRing) -> tuple[Routes, PrefixRoutes]:
    """What `Dispatch` looks up: paths, and prefixes of paths that end with a member. `keys`: those that count where
    anyone may call."""
    paths: Routes = {}
    prefixes: PrefixRoutes = {}
    for route in routes:
        endpoint = route.endpoint(endpoints)
        assert endpoint is not None
        if route.endpoint is _management:
            pass  # finds out by itself who calls
        elif route.who == "either":
            endpoint = either(known_first(endpoint, keys), endpoints.management)
        elif route.takes_key:
            endpoint = unless_bad_key(endpoint, keys)
        elif route.who == "key" and route in ROUTES:
            endpoint = known_first(endpoint, keys)
        prefix, brace, rest = route.path.partition("{")
        action = rest.partition("}")[2]
        if not brace:
            paths.setdefault(prefix, {}).setdefault(route.method, endpoint)
        elif action[:1] == ":":
            acting = prefixes.setdefault(prefix, {}).setdefault(route.method, ByAction())
            assert isinstance(acting, ByAction)
            acting.known[action] = endpoint
        else:
            prefixes.setdefault(prefix, {}).setdefault(route.method, endpoint)
    paths |= {root: paths[path] for path, root in AT_ROOT.items() if path in paths}
    return _with_those_below(paths, _below), _with_those_below(prefixes, _any_below)
