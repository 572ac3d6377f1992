"""The vendors' own packages read our recordings and our requests: an independent witness of both."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from anthropic import types as anthropic_types
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from google.genai import types as genai_types
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from fairlead.providers.bedrock import BedrockConverse
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.sigv4 import Signer
from fairlead.wire.chat import parse_chat

from .support import HELLO, MODELS, NOW, document_of, stream_of

CASES = ["text", "tools", "reasoning", "length"]


def events_of(dialect: str, case: str) -> list[Any]:
    lines = stream_of(dialect, case).decode().splitlines()
    payloads = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(payload) for payload in payloads if payload != "[DONE]"]


def converse(name: str) -> OperationModel:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).operation_model(name)


@pytest.mark.parametrize("case", CASES)
def test_openais_types_read_the_recordings(case: str) -> None:
    for event in events_of("openai", case):
        assert ChatCompletionChunk.model_validate(event).id
    assert ChatCompletion.model_validate_json(document_of("openai", case)).choices


@pytest.mark.parametrize("case", CASES)
def test_anthropics_types_read_the_recordings(case: str) -> None:
    reader: TypeAdapter[Any] = TypeAdapter(anthropic_types.RawMessageStreamEvent)
    kinds = [
        type(reader.validate_python(event)).__name__
        for event in events_of("anthropic", case)
        if event["type"] != "ping"
    ]
    assert kinds[0] == "RawMessageStartEvent"
    assert kinds[-1] == "RawMessageStopEvent"
    assert anthropic_types.Message.model_validate_json(document_of("anthropic", case)).usage.output_tokens


@pytest.mark.parametrize("case", CASES)
def test_googles_types_read_the_recordings(case: str) -> None:
    for event in [*events_of("gemini", case), json.loads(document_of("gemini", case))]:
        answer = genai_types.GenerateContentResponse.model_validate(event)
        assert answer.candidates
        assert answer.usage_metadata


@pytest.mark.parametrize("case", CASES)
def test_botocore_reads_the_recordings(case: str) -> None:
    operation = converse("ConverseStream")
    parser = create_parser("rest-json")
    shape = operation.get_event_stream_output()
    buffer = EventStreamBuffer()
    buffer.add_data(stream_of("bedrock", case))
    found = [parser._event_stream_parser.parse(event.to_response_dict(), shape) for event in buffer]
    names = [name for event in found for name in event]
    assert names[0] == "messageStart"
    assert names[-2:] == ["messageStop", "metadata"]
    answer = {"status_code": 200, "headers": {}, "body": document_of("bedrock", case)}
    parsed = parser.parse(answer, converse("Converse").output_shape)
    assert parsed["output"]["message"]["content"]


@pytest.mark.parametrize("token", ["", "IQoJb3JpZ2luX2VjEA=="])
@pytest.mark.parametrize("model", [MODELS["bedrock"], "arn:aws:bedrock:us-east-1:1:inference-profile/us.a.b-v1:0"])
def test_a_request_is_signed_as_botocore_signs_it(monkeypatch: pytest.MonkeyPatch, token: str, model: str) -> None:
    host = "bedrock-runtime.us-east-1.amazonaws.com"
    signer = Signer(
        "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY", token, region="us-east-1", service="bedrock", host=host
    )
    adapter = BedrockConverse(DIALECTS["bedrock"], "public", model, clock=lambda: NOW, signer=signer)
    request = parse_chat(json.dumps({"model": "m", "messages": HELLO, "stream": True}).encode())
    call = adapter.to_vendor(request)
    ours = dict(line.split(": ", 1) for line in call.headers.decode().splitlines())
    path = call.path
    assert path is not None
    theirs = AWSRequest("POST", f"https://{host}{path.decode()}", data=call.body[0])
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: _now(remove_tzinfo))
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY", token or None)
    SigV4Auth(credentials, "bedrock", "us-east-1").add_auth(theirs)
    assert urlsplit(theirs.url).path == path.decode()
    assert ours["x-amz-date"] == theirs.headers["X-Amz-Date"]
    assert ours["authorization"] == theirs.headers["Authorization"]
    assert ours.get("x-amz-security-token") == theirs.headers.get("X-Amz-Security-Token")


def _now(remove_tzinfo: bool) -> Any:
    from datetime import UTC, datetime

    now = datetime.fromtimestamp(NOW, UTC)
    return now.replace(tzinfo=None) if remove_tzinfo else now
