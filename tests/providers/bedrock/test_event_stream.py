"""Amazon's frames, and the recordings in them, as botocore reads them."""

from __future__ import annotations

import botocore.eventstream
import botocore.parsers
import botocore.validate
import pytest
from tests.providers.asked import converse
from tests.providers.recorded import CASES, amazon_events, frame, whole

from fairlead.errors import UpstreamInvalid
from fairlead.providers.bedrock.event_stream import FrameReader


@pytest.mark.parametrize("case", [*CASES, "error"])
def test_botocore_reads_bedrocks_recordings(case: str) -> None:
    model = converse()
    if case != "error":
        parser = botocore.parsers.create_parser("rest-json")
        shape = model.operation_model("Converse").output_shape
        answer = {"status_code": 200, "headers": {}, "body": whole("bedrock", case)}
        assert parser.parse(answer, shape)["output"]["message"]["content"]
    buffer = botocore.eventstream.EventStreamBuffer()
    ours = FrameReader()
    stream_shape = model.shape_for("ConverseStreamOutput")
    for kind, payload in amazon_events(case):
        data = frame(kind, payload)
        buffer.add_data(data)
        theirs = next(iter(buffer))
        (mine,) = ours.feed(data)
        assert mine.headers == theirs.headers
        assert mine.payload == theirs.payload
        known = {name: value for name, value in payload.items() if name != "p"}  # padding, in no model
        report = botocore.validate.ParamValidator().validate({kind.removeprefix("!"): known}, stream_shape)
        assert not report.has_errors(), report.generate_report()
    assert not ours.in_the_middle


@pytest.mark.parametrize("at", range(0, 120, 3))
def test_a_damaged_frame_is_no_frame(at: int) -> None:
    good = frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "words that were said"}})
    bad = bytearray(good)
    bad[at] ^= 0x41
    with pytest.raises(UpstreamInvalid):
        FrameReader().feed(bytes(bad))
