"""The table of doors: which dialect is spoken at which path, and for which operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fairlead.doors.door import Door, ModelShape, StoringDoor
from fairlead.doors.gemini.door import GOOGLE_GEMINI
from fairlead.doors.gemini.models import GEMINI_MODELS
from fairlead.doors.messages.door import ANTHROPIC_MESSAGES
from fairlead.doors.messages.models import ANTHROPIC_MODELS
from fairlead.doors.openai_api.door import OpenAIDoor
from fairlead.doors.openai_api.forms import FormDoor
from fairlead.doors.openai_chat.door import OPENAI_CHAT
from fairlead.doors.responses.door import RESPONSES_DOOR
from fairlead.doors.responses.operation import RESPONSES_CHAT
from fairlead.http.request import Request
from fairlead.operations.chat.gemini import GEMINI_CHAT
from fairlead.operations.chat.messages import MESSAGES_CHAT
from fairlead.operations.chat.operation import CHAT
from fairlead.operations.completions import COMPLETIONS
from fairlead.operations.embeddings import EMBEDDINGS
from fairlead.operations.forms import EDIT, TRANSCRIBE, TRANSLATE
from fairlead.operations.images import DRAW
from fairlead.operations.moderations import MODERATIONS
from fairlead.operations.rerank import RERANK
from fairlead.operations.speech import TEXT_TO_SPEECH
from fairlead.routing.demand import Operation
from fairlead.wire import apis, completions, embeddings, moderations, rerank
from fairlead.wire.forms import EditRequest, TranscriptionRequest, TranslationRequest
from fairlead.wire.images import parse_images
from fairlead.wire.speech import parse_speech

# Whose receipts have digests: the setting of this name. Each has those of the values before it.
DIGESTS: Final = ("never", "native", "conversations")


@dataclass(frozen=True, slots=True)
class DoorRow:
    """Paths that take calls of one operation, by POST, in one dialect. A path may end with a member in braces, such as
    `/v1beta/models/{model}`, and with an action behind it (`/v1beta/models/{model}:generateContent`).

    `summary`, `details`, `body`, `answer` and `streams` describe it in /openapi.json; `body` and `answer` are names in
    `schemas`, which it brings, or in `openapi.SCHEMAS`. `count_paths`: where the tokens of such a request are counted.
    `request_id`: another name of the header with the request id, which its clients know. `counted`: the answer to a
    count; `counting`: who counts. `models`: how its clients list models; None: as OpenAI's. `outlines`: its door reads
    long bodies by their outline, which is made first (`wire/outline.py`). `digests`: the
    first of DIGESTS with which its receipts have digests of bodies, "": with none.
    `uploads`: its bodies are multipart/form-data with files, which go to the disk (`http/upload.py`).
    `storing`: the door where answers are stored; None: those of this row never are. `at_root`: its paths are served
    without `/v1` too, where LiteLLM's clients call them.
    """

    name: str
    paths: tuple[str, ...]
    operation: Operation
    door: Door
    summary: str
    details: str = ""
    body: str = "Object"
    answer: str = "Object"
    schemas: Mapping[str, Any] = field(default_factory=dict)
    streams: bool = True
    count_paths: tuple[str, ...] = ()
    counted: bytes = b'{"input_tokens":%d}'
    counting: str = "By the provider where it speaks this API, else by the tokenizer of the model. Nothing is charged."
    models: ModelShape | None = None
    request_id: bytes = b""
    outlines: bool = False
    digests: str = ""
    uploads: bool = False
    storing: StoringDoor | None = None

    def has_digests(self, wanted: str) -> bool:
        """`wanted`: of DIGESTS."""
        return bool(self.digests) and DIGESTS.index(self.digests) <= DIGESTS.index(wanted)

    at_root: bool = False


_ROWS: Final = (
    DoorRow(
        "openai_chat", ("/v1/chat/completions",), CHAT, OPENAI_CHAT,
        "Create a chat completion, whole or as a stream of server-sent events.",
        "OpenAI's chat completions. Parameters that no deployment can carry are named in `x-fairlead-dropped`, or "
        "rejected in strict mode. `usage` also has the cost of the call.",
        "ChatRequest", "ChatCompletion", outlines=True, at_root=True, digests="conversations",
    ),
    DoorRow(
        "openai_responses", ("/v1/responses",), RESPONSES_CHAT, RESPONSES_DOOR,
        "Create a response, whole or as a stream of server-sent events.",
        "OpenAI's Responses. A provider that speaks the Responses API gets the request unchanged; for others it is "
        "translated: what cannot be translated is named in `x-fairlead-dropped`, or rejected. `usage` also has the "
        "cost of the call.",
        "ResponsesRequest", "Response", digests="native", storing=RESPONSES_DOOR,
        count_paths=("/v1/responses/input_tokens",),
        counted=b'{"object":"response.input_tokens","input_tokens":%d}',
        counting="By the tokenizer of the model. Nothing is charged.",
    ),
    DoorRow(
        "anthropic_messages", ("/v1/messages", "/api/v1/messages", "/api/messages"), MESSAGES_CHAT, ANTHROPIC_MESSAGES,
        "Create a message, whole or as a stream of server-sent events.",
        "Anthropic's Messages. A provider that speaks the same API gets the request as it was sent, except for the "
        "key and the model's name; for others it is translated. `usage` also has the cost of the call.",
        "MessagesRequest", "AnthropicMessage",
        count_paths=(
            "/v1/messages/count_tokens", "/api/v1/messages/count_tokens", "/api/messages/count_tokens",
        ),
        request_id=b"request-id", digests="native", models=ANTHROPIC_MODELS,
    ),
    DoorRow(
        "google_gemini",
        (
            "/v1beta/models/{model}:generateContent", "/v1beta/models/{model}:streamGenerateContent",
            "/v1/models/{model}:generateContent", "/v1/models/{model}:streamGenerateContent",
        ),
        GEMINI_CHAT, GOOGLE_GEMINI,
        "Generate content, whole or as a stream.",
        "Gemini's generateContent. A provider that speaks the same API gets the request as it was sent, except for the "
        "key and the model's name; for others it is translated. A stream is server-sent events with `?alt=sse`, else "
        "one JSON array. `usageMetadata` also has the cost of the call.",
        "GenerateContentRequest", "GenerateContentResponse",
        count_paths=("/v1beta/models/{model}:countTokens", "/v1/models/{model}:countTokens"),
        counted=b'{"totalTokens":%d}', models=GEMINI_MODELS, digests="native",
    ),
    DoorRow(
        "openai_completions", ("/v1/completions",), COMPLETIONS,
        OpenAIDoor(apis.COMPLETIONS, COMPLETIONS, completions.parse_completions),
        "Continue a text, whole or as a stream of server-sent events.",
        "OpenAI's completions: the prompt is continued as it is, without a chat template. `max_tokens` is 16 unless "
        "given. Deployments whose provider has no completions are not called. `usage` also has the cost of the call.",
        "CompletionRequest", "TextCompletion", completions.SCHEMAS, at_root=True,
    ),
    DoorRow(
        "openai_embeddings", ("/v1/embeddings",), EMBEDDINGS,
        OpenAIDoor(apis.EMBEDDINGS, EMBEDDINGS, embeddings.parse_embeddings),
        "Create embeddings.",
        "OpenAI's embeddings, for models whose mode is `embedding`. More inputs than a deployment takes at once are "
        "split and their vectors joined in order. `usage` also has the cost of the call.",
        "EmbeddingsRequest", "Embeddings", embeddings.SCHEMAS, streams=False, at_root=True,
    ),
    DoorRow(
        "openai_moderations", ("/v1/moderations",), MODERATIONS,
        OpenAIDoor(apis.MODERATIONS, MODERATIONS, moderations.parse_moderation),
        "Classify texts and images as harmful or not.",
        "OpenAI's moderations, for models whose mode is `moderation`. Without `model`: `omni-moderation-latest`. "
        "`usage` has the tokens and the cost of the call.",
        "ModerationRequest", "Moderation", moderations.SCHEMAS, streams=False, at_root=True,
    ),
    DoorRow(
        "cohere_rerank", ("/v1/rerank", "/v2/rerank"), RERANK, OpenAIDoor(apis.RERANK, RERANK, rerank.parse_rerank),
        "Rank documents by how well they answer a query.",
        "Cohere's and Jina's rerank, for models whose mode is `rerank`. `request` of a price is charged for each "
        "search unit (`meta.billed_units`): a query with up to 100 documents. `usage` has the tokens and the cost.",
        "RerankRequest", "Ranking", rerank.SCHEMAS, streams=False, at_root=True,
    ),
    DoorRow(
        "openai_images", ("/v1/images/generations",), DRAW, OpenAIDoor(apis.IMAGES, DRAW, parse_images),
        "Create images from a text.",
        "OpenAI's images, for models whose mode is `image`. Where the provider reports no tokens, `request` of a price "
        "is charged for each 1,048,576 pixels of an image, rounded up, and twice for quality `hd`.",
        "ImageRequest", "Images", streams=False,
    ),
    DoorRow(
        "openai_speech", ("/v1/audio/speech",), TEXT_TO_SPEECH, OpenAIDoor(apis.SPEECH, TEXT_TO_SPEECH, parse_speech),
        "Convert text to speech.",
        "OpenAI's speech, for models whose mode is `speech`. The answer is audio, passed on as it arrives. `input` of "
        "a price is charged for each character.",
        "SpeechRequest", "Sound", streams=False,
    ),
    DoorRow(
        "openai_transcriptions", ("/v1/audio/transcriptions",), TRANSCRIBE,
        FormDoor(apis.TRANSCRIPTIONS, TRANSCRIBE, TranscriptionRequest),
        "Convert speech to text.",
        "OpenAI's transcriptions, for models whose mode is `transcription`. The form is sent on as received, except "
        "for the model's name. Where the provider reports no tokens, `audio_input` of a price (or `input`) is charged "
        "for each second.",
        "AudioForm", "Transcript", streams=False, uploads=True,
    ),
    DoorRow(
        "openai_translations", ("/v1/audio/translations",), TRANSLATE,
        FormDoor(apis.TRANSLATIONS, TRANSLATE, TranslationRequest),
        "Convert speech to English text.", "Works and is charged like a transcription.",
        "AudioForm", "Transcript", streams=False, uploads=True,
    ),
    DoorRow(
        "openai_image_edits", ("/v1/images/edits",), EDIT, FormDoor(apis.IMAGE_EDITS, EDIT, EditRequest),
        "Edit or combine images.", "Charged like images that are created from a text.",
        "ImageForm", "Images", streams=False, uploads=True,
    ),
)  # fmt: skip
DOORS: Final[Mapping[str, DoorRow]] = {row.name: row for row in _ROWS}
# Spoken wherever no other door is: by the endpoints that are no calls, and at paths that do not exist.
DEFAULT_DOOR: Final[Door] = OPENAI_CHAT
# What is below /v1/ is there a second time (`api/routes.py`).
BELOW: Final = "/api"
BELOW_DATA_PLANE: Final = "/api/v1/"
MODELS: Final = ("/v1/models", BELOW + "/v1/models")


class DoorFinder:
    """Finds the door of a path; of what is below one, that of the path."""

    __slots__ = ("_models", "_paths", "_patterns")

    def __init__(self, rows: Iterable[DoorRow] = ()) -> None:
        self._paths: dict[str, Door] = {}
        self._patterns: list[tuple[str, str, Door]] = []  # how a path begins, and how it ends
        self._models: list[tuple[bytes, Door]] = []  # by a header that its clients send
        below: list[tuple[str, str, Door]] = []
        for row in rows:
            for path in (*row.paths, *row.count_paths):
                prefix, brace, rest = path.partition("{")
                if brace:
                    self._patterns.append((prefix, rest.partition("}")[2], row.door))
                else:
                    self._paths[prefix] = row.door
                    below.append((prefix + "/", "", row.door))
            if row.models is not None:
                if row.models.path:
                    self._patterns.append((row.models.path, "", row.door))
                self._models += [(name, row.door) for name in row.models.headers]
        self._patterns += below

    def at(self, path: str) -> Door:
        door = self._paths.get(path)
        if door is not None:
            return door
        for prefix, ending, door in self._patterns:
            if path.startswith(prefix) and path.endswith(ending):
                return door
        return self.at(path[len(BELOW) :]) if path.startswith(BELOW_DATA_PLANE) else DEFAULT_DOOR

    def is_call(self, path: str) -> bool:
        """Whether calls are made there, or their tokens counted."""
        return path in self._paths

    def of(self, request: Request) -> Door:
        """The door whose dialect a request is answered in: a list of models comes in that of the client who asks."""
        path = request.path
        if path.startswith(MODELS):
            for name, door in self._models:
                if request.header(name) is not None:
                    return door
        return self.at(path)
