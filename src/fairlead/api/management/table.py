"""The table of the management API."""

from __future__ import annotations

from typing import Final

from fairlead.api.management.accounts import ACCOUNTS
from fairlead.api.management.action import Action
from fairlead.api.management.configuration import CONFIGURATION
from fairlead.api.management.content import CONTENT
from fairlead.api.management.credentials import CREDENTIALS
from fairlead.api.management.keys import KEYS
from fairlead.api.management.litellm import LITELLM
from fairlead.api.management.money import MONEY
from fairlead.api.management.openrouter import OPENROUTER
from fairlead.api.management.operations import OPERATIONS
from fairlead.api.management.people import PEOPLE

ACTIONS: Final[tuple[Action, ...]] = (
    *OPENROUTER,
    *ACCOUNTS,
    *KEYS,
    *MONEY,
    *OPERATIONS,
    *CONFIGURATION,
    *CREDENTIALS,
    *PEOPLE,
    *CONTENT,
    *LITELLM,
)
