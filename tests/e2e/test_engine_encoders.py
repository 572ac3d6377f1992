"""`fairlead engine run` with an embedding model and a reranker beside a chat model: each in a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import pytest

from fairlead.engines.spec import DEMO_GGUF

from .conftest import Served, eventually, fairlead, serving
from .test_engine import children

FIXTURES = Path(__file__).parents[1] / "fixtures"
EMBEDDING, RERANKER = FIXTURES / "tiny-embedding.gguf", FIXTURES / "tiny-reranker.gguf"
COMMAND = ("engine", "run", str(EMBEDDING), str(DEMO_GGUF), str(RERANKER), "--as", "vectors")
TEXTS = ["hello world", "bye", "hello world", "what is a token?"]


@pytest.fixture(scope="module", params=[1, 2], ids=["alone", "two workers"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("encoders"), engine=True, command=COMMAND, workers=request.param) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0, timeout=60) as sdk:
        yield sdk


def rerank(served: Served, **more: Any) -> httpx.Response:
    body = {"model": "tiny-reranker", "query": "hello", "documents": TEXTS, **more}
    return httpx.post(
        f"{served.url}/v1/rerank", json=body, headers={"authorization": f"Bearer {served.key}"}, timeout=60
    )


def test_texts_become_vectors(client: openai.OpenAI) -> None:
    found = client.embeddings.create(model="vectors", input=TEXTS)
    vectors = [one.embedding for one in found.data]
    assert {len(vector) for vector in vectors} == {16}
    assert vectors[0] == vectors[2] != vectors[1]
    assert found.usage.prompt_tokens == sum(len(text.replace(" ", "")) + 2 for text in TEXTS)  # a token for each letter
    alone = client.embeddings.create(model="vectors", input=TEXTS[1], encoding_format="float")
    assert alone.data[0].embedding == pytest.approx(vectors[1], abs=1e-3)


def test_documents_are_ranked(served: Served) -> None:
    answer = rerank(served, top_n=3).json()
    scores = [one["relevance_score"] for one in answer["results"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    places = {one["index"]: one["relevance_score"] for one in rerank(served).json()["results"]}
    assert places[0] == places[2]  # the same text


def test_each_model_is_called_where_its_mode_is(client: openai.OpenAI, served: Served) -> None:
    said = client.chat.completions.create(
        model="fairlead-demo", messages=[{"role": "user", "content": "What is a token?"}], max_tokens=8
    )
    assert said.choices[0].message.content
    with pytest.raises(openai.BadRequestError, match="/v1/embeddings"):
        client.chat.completions.create(model="vectors", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(openai.BadRequestError, match="/v1/rerank"):
        client.embeddings.create(model="tiny-reranker", input="x")
    assert rerank(served, model="fairlead-demo").status_code == 400
    assert '"model": "fairlead-demo"' in served.output  # the call to try is one that can be made


def test_an_engine_that_is_killed_comes_back_and_the_others_stay(client: openai.OpenAI, served: Served) -> None:
    def engines() -> dict[str, int]:
        found = {}
        parents = [served.process.pid, *children(served.process.pid)]
        for child in {child for parent in parents for child in children(parent)}:
            if b"child.py" in Path(f"/proc/{child}/cmdline").read_bytes():
                opened = [one.readlink() for one in Path(f"/proc/{child}/map_files").iterdir()]
                found.update({one.name: child for one in opened if one.suffix == ".gguf"})
        return found

    before = engines()
    assert set(before) == {EMBEDDING.name, DEMO_GGUF.name, RERANKER.name}
    os.kill(before[EMBEDDING.name], signal.SIGKILL)
    said = client.chat.completions.create(
        model="fairlead-demo", messages=[{"role": "user", "content": "What is a token?"}], max_tokens=8
    )
    assert said.choices[0].message.content

    def answers() -> bool:
        try:
            return bool(client.embeddings.create(model="vectors", input="x").data)
        except openai.InternalServerError:
            return False

    eventually(answers)
    after = engines()
    assert after[EMBEDDING.name] != before[EMBEDDING.name]
    assert {after[name] for name in (DEMO_GGUF.name, RERANKER.name)} == {
        before[name] for name in (DEMO_GGUF.name, RERANKER.name)
    }
    assert fairlead("verify", data=served.data).returncode == 0
