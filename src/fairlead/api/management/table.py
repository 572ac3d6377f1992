"""The table of the management API."""

from __future__ import annotations

from typing import Final

from fairlead.api.management.action import Action
from fairlead.api.management.admin import ADMIN
from fairlead.api.management.configuration import CONFIGURATION
from fairlead.api.management.credentials import CREDENTIALS
from fairlead.api.management.litellm import LITELLM
from fairlead.api.management.openrouter import OPENROUTER

ACTIONS: Final[tuple[Action, ...]] = (*OPENROUTER, *ADMIN, *CONFIGURATION, *CREDENTIALS, *LITELLM)
