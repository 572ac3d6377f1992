"""OpenAI's transcriptions, translations and edits of images: the caller's form is sent on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fairlead.providers.dialect import OperationAPI
from fairlead.providers.unstreamed import Unstreamed, WholeCall, members_for
from fairlead.wire.apis import IMAGE_EDITS, TRANSCRIPTIONS, TRANSLATIONS
from fairlead.wire.forms import FormRequest, transcript
from fairlead.wire.images import image_answer


class FormAdapter(Unstreamed):
    """An `Adapter`. Its subclass reads answers."""

    operation = ""

    def to_vendor(self, request: FormRequest) -> WholeCall:
        _, dropped = members_for(request, self.binding.dialect, self.operation, frozenset())
        body = request.body(self.binding.upstream_model, dropped)
        kind = b"content-type: %b\r\n" % request.kind
        return WholeCall(body, self.path, request, dropped, headers=kind, bare=True)


class Transcribing(FormAdapter):
    operation = TRANSCRIPTIONS

    def plain(self, call: WholeCall, body: bytes) -> Any:
        """Raises UpstreamInvalid for JSON that is no transcript."""
        return transcript(call.request.head, body)


class Editing(FormAdapter):
    operation = IMAGE_EDITS

    def plain(self, call: WholeCall, body: bytes) -> Any:
        """Raises UpstreamInvalid for an answer without images."""
        return image_answer(body, call.request.units)


def _api(name: str, adapter: Callable[..., Any], path: str) -> OperationAPI:
    return OperationAPI(name, adapter, path=path)


APIS: Final = {
    TRANSCRIPTIONS: _api(TRANSCRIPTIONS, Transcribing, "/audio/transcriptions"),
    TRANSLATIONS: _api(TRANSLATIONS, Transcribing, "/audio/translations"),
    IMAGE_EDITS: _api(IMAGE_EDITS, Editing, "/images/edits"),
}
