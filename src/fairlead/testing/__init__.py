"""A scripted provider for tests: real sockets, OpenAI's dialect as vLLM speaks it, and every way of going wrong."""

from fairlead.testing.connection import Received
from fairlead.testing.replies import Fault, Reply, ToolCall
from fairlead.testing.upstream import ScriptedUpstream

__all__ = ["Fault", "Received", "Reply", "ScriptedUpstream", "ToolCall"]
