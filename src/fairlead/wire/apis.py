"""The APIs that are spoken on both sides of Fairlead: by callers at a door, and by providers.

Where both sides of a call speak the same one, its bytes are passed on; elsewhere a request is translated through
`ChatRequest`, and an answer through the events of `wire/answer.py`.
"""

from __future__ import annotations

from typing import Final

# The operation that most of them are for; others have names of their own, in `operations/`.
CHAT: Final = "chat"

# OpenAI's chat completions. The neutral request of chat is written in its words.
CHAT_COMPLETIONS: Final = "chat.completions"
# Anthropic's Messages.
MESSAGES: Final = "messages"
# OpenAI's Responses.
RESPONSES: Final = "responses"
# Gemini's generateContent and streamGenerateContent.
GENERATE_CONTENT: Final = "generateContent"
# OpenAI's embeddings; the operation and its API have one name, as those below.
EMBEDDINGS: Final = "embeddings"
# OpenAI's completions of a text, which came before chat.
COMPLETIONS: Final = "completions"
# OpenAI's moderations.
MODERATIONS: Final = "moderations"
# Cohere's and Jina's.
RERANK: Final = "rerank"
# OpenAI's images, speech, and what is made of sound; the last two are one operation at two paths.
IMAGES: Final = "images"
IMAGE_EDITS: Final = "image edits"
SPEECH: Final = "speech"
TRANSCRIPTIONS: Final = "transcriptions"
TRANSLATIONS: Final = "translations"
# Bedrock's Converse, which no caller speaks here.
CONVERSE: Final = "converse"
