"""LangChain's standard suites, for the chat models of its four packages and its embeddings at our doors.

Collected by the pytest of a virtual environment of their own, which `test_langchain.py` starts: their packages bring
plugins that this project's tests do not want. What they would download is here.
"""

from __future__ import annotations

import base64
import os
import ssl
from typing import Any, cast

import httpx
from langchain_anthropic import ChatAnthropic
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests
from langchain_tests.integration_tests import chat_models as published

URL, KEY = os.environ["FAIRLEAD_TEST_URL"], os.environ["FAIRLEAD_TEST_KEY"]
MODEL = "follows"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
FILES = {".png": PIXEL, ".pdf": b"%PDF-1.4\n%%EOF\n", ".wav": b"RIFF\x24\x00\x00\x00WAVEfmt "}


def downloaded(url: str, **_: Any) -> httpx.Response:
    return httpx.Response(200, content=FILES[url[-4:]])


cast("Any", published.httpx).get = downloaded
# Each client would read the certificates of all authorities, for 30 ms; our servers speak plain HTTP.
cast("Any", ssl.SSLContext).load_verify_locations = lambda *_, **__: None


class Suite(ChatModelIntegrationTests):
    made: type[BaseChatModel]
    params: dict[str, Any]

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return self.made

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return self.params

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "follows-too"


class TestChatOpenAI(Suite):
    made = ChatOpenAI
    params = {"model": MODEL, "base_url": f"{URL}/v1", "api_key": KEY, "stream_usage": True, "max_retries": 0}  # noqa: RUF012

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True


class TestChatOpenAIResponses(Suite):
    made = ChatOpenAI
    params = {  # noqa: RUF012
        "model": MODEL, "base_url": f"{URL}/v1", "api_key": KEY, "use_responses_api": True, "max_retries": 0,
    }  # fmt: skip

    @property
    def supports_json_mode(self) -> bool:
        return True


class TestChatAnthropic(Suite):
    made = ChatAnthropic
    params = {"model": MODEL, "base_url": URL, "api_key": KEY, "max_tokens": 500, "max_retries": 0}  # noqa: RUF012

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True


class TestChatGoogle(Suite):
    made = ChatGoogleGenerativeAI
    params = {"model": MODEL, "base_url": URL, "google_api_key": KEY, "max_retries": 1}  # noqa: RUF012

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return False  # its class takes none


class TestOpenAIEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {
            "model": "embeds", "base_url": f"{URL}/v1", "api_key": KEY, "check_embedding_ctx_length": False,
        }  # fmt: skip
