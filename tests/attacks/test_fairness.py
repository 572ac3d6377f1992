"""What one caller may take of the event loop before others get their turn: counted, never timed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fairlead.errors import InvalidRequest
from fairlead.wire import bounds, counting
from fairlead.wire.chat import parse_chat

MESSAGES = {
    "compact": b'{"role":"user","content":"x"}',
    "with white space": b'{"role": "user", "content": "x"}',
    "with another member": b'{"role":"user","content":"x","name":"y"}',
}


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(body)
    return str(caught.value)


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_reading_a_list_of_messages_ends_at_the_first_one_too_many(message: bytes) -> None:
    body = b'{"model":"m","messages":[%b]}' % b",".join([message] * (10 * bounds.MOST_MESSAGES))
    counting._countdown.left = 0
    assert refusal(body) == "There are more than 4,096 messages."
    assert counting._countdown.left == -1  # 36,864 messages were not looked at


def test_reading_a_list_of_tool_calls_ends_at_the_first_one_too_many() -> None:
    call = b'{"id":"a","function":{"name":"f","arguments":""}}'
    calls = b",".join([call] * (10 * bounds.MOST_TOOL_CALLS))
    counting._countdown.left = 0
    assert "more than 4,096 tool calls" in refusal(
        b'{"model":"m","messages":[{"role":"assistant","tool_calls":[%b]}]}' % calls
    )
    assert counting._countdown.left >= bounds.MOST_MESSAGES - 2  # of the messages, which were counted again


def test_the_event_loop_gets_the_interpreter_from_a_busy_thread_within_a_fifth_of_a_millisecond() -> None:
    code = (
        "import sys\nfrom fairlead import runtime\nfrom fairlead.settings import Settings\n"
        "runtime.prepare_process(Settings())\nprint(sys.getswitchinterval())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert 0 < float(done.stdout or 0) <= 0.000_201, done.stderr
