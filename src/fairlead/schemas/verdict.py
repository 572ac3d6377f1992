"""What is known about a schema, or about an answer by it. Part of the protocol between `checker` and `worker`."""

from __future__ import annotations

import struct
from typing import Final

from msgspec import Struct

# A request is a head, the schema, and the answer's text (both JSON); its length is NO_TEXT when there is none. A reply
# is a length and a Verdict as JSON; the first one, empty, says that the process is ready.
HEAD: Final = struct.Struct(">II")
LENGTH: Final = struct.Struct(">I")
NO_TEXT: Final = 2**32 - 1
# CPU time for one check. The process ends itself when it is used up, whatever it is doing.
CHECK_SECONDS: Final = 1.0
MOST_MEMORY_BYTES: Final = 512 * 1024 * 1024


class Verdict(Struct, frozen=True, omit_defaults=True):
    """All empty: the schema can be used, and the answer conforms to it.

    `broken`: why the schema cannot be used; contains nothing but words of the schema. `where`: the keyword of the
    schema that the answer breaks, by its path in the schema, so that it contains nothing of the answer. `told`: what is
    wrong, with words of the answer, for the model alone. `too_much`: the check took too much time or memory.
    """

    broken: str = ""
    where: str = ""
    told: str = ""
    too_much: bool = False

    @property
    def good(self) -> bool:
        return not (self.broken or self.where or self.too_much)
