"""The most that a body may have of anything that costs more than its bytes: every bound of a chat request.

OpenAI takes 2,048 messages, 128 tools and 16 pairs of metadata; these bounds are above what callers send, and low
enough that no body of any shape occupies the event loop longer than 50 ms per MB. docs/internals/wire.md lists them.
"""

from __future__ import annotations

from typing import Final

MOST_MEMBERS: Final = 256  # of the body
LONGEST_NAME: Final = 256  # of a member of the body, in characters
MOST_MESSAGES: Final = 4_096
MOST_PARTS: Final = 4_096  # in all messages together
MOST_TOOL_CALLS: Final = 4_096  # in all messages together
MOST_REASONING_DETAILS: Final = 4_096  # in all messages together
MOST_TOOLS: Final = 128
MOST_ITEMS: Final = 8_192  # of the `input` of a Responses request: messages, calls, outputs, reasoning
MOST_NAMESPACED: Final = 1_024  # tools of a Responses request, those in namespaces too
MOST_STOPS: Final = 16
MOST_CHOICES: Final = 128  # `n`
MOST_ALTERNATIVES: Final = 1_024  # of `structured_outputs.choice`
LONGEST_PARAMETER: Final = 65_536  # bytes of JSON; of the next three:
LONGEST_PREDICTION: Final = 1_048_576
LONGEST_CONSTRAINT: Final = 1_048_576  # `structured_outputs`
LONGEST_URL: Final = 8_192  # of something that is to be fetched; `data:` URLs are as long as the body may be
# Members that the API does not have, white space and repeated members, in bytes, of all messages together.
MOST_UNKNOWN_BYTES: Final = 524_288
MOST_MESSAGE_MEMBERS: Final = 64
# The same without long values, where each name is looked at.
SKELETON_BYTES: Final = 65_536
# Of a body of more than `outline.LONG_BODY_BYTES`: what is outside of its strings, with 8 bytes for each of these, and
# what is left when strings are cut behind their first kilobyte.
MOST_STRUCTURE_BYTES: Final = 2_097_152
MOST_OUTLINE_BYTES: Final = 8_388_608
MOST_INPUTS: Final = 16_384  # of embeddings and moderations, documents of a rerank, prompts of a completion
MOST_INPUT_TOKENS: Final = 1_048_576  # in all inputs together, where they are tokens and no text
# Texts that llama.cpp would read as control tokens, each of which is taken apart.
MOST_CONTROL_TOKENS: Final = 32_768
# Names in an error's sentence.
MOST_NAMED: Final = 32
# Of Anthropic's Messages, where it is passed on: a long session has more than OpenAI takes.
MOST_NATIVE_MESSAGES: Final = 16_384
MOST_NATIVE_TOOLS: Final = 16_384
MOST_BLOCKS: Final = 16_384
LONGEST_FUNCTION_NAME: Final = 64  # of OpenAI's; longer ones are shortened for providers of other APIs
# Bytes of a text that becomes speech or an image; characters of OpenAI's are 4,096 and 32,000.
LONGEST_SPEECH: Final = 262_144
MOST_IMAGES: Final = 16
