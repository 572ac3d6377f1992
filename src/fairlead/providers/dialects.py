"""Every vendor's API, and every dialect by its name."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.providers.anthropic.vendor import ANTHROPIC
from fairlead.providers.bedrock.vendor import BEDROCK
from fairlead.providers.dialect import Dialect, VendorAPI
from fairlead.providers.gemini.vendor import GEMINI
from fairlead.providers.openai.vendor import OPENAI
from fairlead.providers.responses_api.vendor import RESPONSES_API

VENDORS: Mapping[str, VendorAPI] = {
    vendor.name: vendor for vendor in (OPENAI, RESPONSES_API, ANTHROPIC, GEMINI, BEDROCK)
}
DIALECTS: Mapping[str, Dialect] = {row.name: row for vendor in VENDORS.values() for row in vendor.dialects}
