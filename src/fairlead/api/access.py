"""GET /v1/access: what the key of the request may call, and which rule says so."""

from __future__ import annotations

import asyncio
from functools import partial
from urllib.parse import parse_qs

import msgspec

from fairlead.accounts.key_ring import KeyRing
from fairlead.admin.access import access, access_entry
from fairlead.api.auth import authenticate
from fairlead.http.request import Request, Response
from fairlead.serving import Servings
from fairlead.store import Store

JSON_HEAD = b"content-type: application/json\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"


class AccessEndpoint:
    __slots__ = ("_keys", "_servings", "_store")

    def __init__(self, store: Store, keys: KeyRing, servings: Servings) -> None:
        self._store = store
        self._keys = keys
        self._servings = servings

    async def __call__(self, request: Request, response: Response) -> None:
        caller = authenticate(request, self._keys)
        model = parse_qs(request.query).get("model", [None])[0]
        address = None if request.peer is None else request.peer[0]
        serving = self._servings.now
        models = {name: one.paid for name, one in serving.servables.items() if one.upstreams}
        look = partial(access, self._store, caller.key_id, models, serving.aliases, model, address=address)
        found = await asyncio.get_running_loop().run_in_executor(self._store.threads, look)
        response.send(200, JSON_HEAD, msgspec.json.encode(access_entry(found)))
