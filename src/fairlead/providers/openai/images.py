"""OpenAI's images, and those of others who speak its API."""

from __future__ import annotations

from typing import Final

from fairlead.providers.dialect import OperationAPI
from fairlead.providers.unstreamed import Unstreamed, WholeCall, body_of, members_for
from fairlead.wire.apis import IMAGES
from fairlead.wire.images import ImageAnswer, ImageRequest, image_answer


class ImageAdapter(Unstreamed):
    """An `Adapter`."""

    def to_vendor(self, request: ImageRequest) -> WholeCall:
        members, dropped = members_for(request, self.binding.dialect, IMAGES, frozenset())
        body = body_of(self.binding.upstream_model, members, prompt=request.prompt)
        return WholeCall(body, self.path, request, dropped)

    def plain(self, call: WholeCall, body: bytes) -> ImageAnswer:
        """Raises UpstreamInvalid for an answer without images."""
        return image_answer(body, call.request.units)


API: Final = OperationAPI(IMAGES, ImageAdapter, path="/images/generations")
