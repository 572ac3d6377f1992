"""A deployment is probed by the operation of its model's mode."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.compose.test_serving import run, until
from tests.operations.served import gateway, model, provider

from fairlead.http import eager
from fairlead.routing.probes import probe
from fairlead.testing import Fault, Reply, ScriptedUpstream

PATHS = {
    "embedding": "/v1/embeddings", "rerank": "/v1/rerank", "moderation": "/v1/moderations",
    "chat": "/v1/chat/completions",
}  # fmt: skip


@pytest.mark.parametrize("mode", list(PATHS))
def test_the_smallest_call_of_a_mode_shows_that_a_deployment_works(tmp_path: Path, mode: str) -> None:
    async def test() -> None:
        async with gateway(tmp_path, provider(upstream.url) + model(mode)) as it:
            one = it.it.parts.servings.upstreams()["p/up-p"]
            ended: list[BaseException | None] = []
            for count, fault in enumerate((None, Fault.EMPTY_CHOICES), 1):
                upstream.enqueue(Reply(fault=fault))
                eager.run(probe(one, it.it.parts.ledger), ended.append)
                await until(lambda count=count: len(ended) == count)  # type: ignore[misc]
            assert ended[0] is None
            assert ended[1] is not None
            assert {request.path for request in upstream.requests} == {PATHS[mode]}
            assert upstream.requests[0].json["model"] == "up-p"
            [record] = await it.records()
            assert (record.account, record.price, record.outcome) == ("operator", 0, "probe")

    with ScriptedUpstream() as upstream:
        run(test)
