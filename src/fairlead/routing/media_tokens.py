"""The most tokens that a provider counts for an image, a sound, a film or a file: their bytes do not say. Pure.

A small PNG may be a picture of any size, a PDF of a few kilobytes may have a thousand pages, and of an address nothing
is known at all. Whatever comes of these bounds, a prompt is never taken for more than the context of its model.
"""

from __future__ import annotations

# Qwen-VL's largest (its API reference, `vl_high_resolution_images`). OpenAI's, Anthropic's, Google's and Mistral's are
# below 5,000: their pages on vision.
MOST_IMAGE_TOKENS = 16_384
# OpenAI, images and vision: gpt-4o-mini counts 2,833 and 5,667 for each tile, of which there are eight at most.
MOST_IMAGE_TOKENS_OF: dict[str, int] = {"gpt-4o-mini": 48_169}
# Sound in base64 has more bytes than tokens (OpenAI: 10, Google: 32 for a second). By address, Google takes 9.5 hours.
MOST_AUDIO_TOKENS = 1_094_400
# Google: 300 tokens for a second, an hour at most.
MOST_VIDEO_TOKENS = 1_080_000
# A document of a hundred pages at Anthropic (3,000 tokens of text and 1,600 of image each), a thousand at Google.
MOST_FILE_TOKENS = 460_000


def most_image_tokens(upstream_model: str) -> int:
    """The most tokens of one image at this model."""
    return next((most for name, most in MOST_IMAGE_TOKENS_OF.items() if name in upstream_model), MOST_IMAGE_TOKENS)
