"""Goes on calling, gently: so that a demonstration lives."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from fairlead.demo.organisations import ORGANISATIONS, DemoKey
from fairlead.demo.providers import MODELS
from fairlead.doors.table import DOORS

TIMEOUT_SECONDS: Final = 60.0
PATH: Final = next(row.paths[0] for row in DOORS.values() if "chat" in row.operation.modes)
QUESTIONS: Final = (
    "Summarise the discharge letter in two sentences.",
    "Which of these error messages is the cause?",
    "Write a test for this function.",
    "Describe the next scene of the storyboard.",
    "Which novels would you recommend after this one?",
    "List what the robot has reported since yesterday.",
)


class Caller:
    """Calls in threads of its own until it is stopped: `rate` calls per second on average."""

    def __init__(self, port: int, keys: Mapping[str, str], rate: float, seed: int) -> None:
        self._port = port
        self._keys = keys
        self._rate = rate
        self._chance = random.Random(seed)  # noqa: S311 - a demonstration
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-caller", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        chance = self._chance
        used = [key for one in ORGANISATIONS for key in one.keys if key.name in self._keys]
        running: list[threading.Thread] = []
        while not self._stopping.wait(chance.expovariate(self._rate)):
            running = [one for one in running if one.is_alive()]
            if len(running) > max(4, 8 * self._rate):
                continue  # the machine is slow: no crowd
            (key,) = chance.choices(used, [one.share for one in used])
            call = threading.Thread(target=self._call, args=(self._keys[key.name], self._asked(key)), daemon=True)
            call.start()
            running.append(call)

    def _asked(self, key: DemoKey) -> dict[str, object]:
        chance = self._chance
        choice: Sequence[tuple[str, float]] = key.use.models or [(one.id, one.share) for one in MODELS]
        allowed = [pair for pair in choice if not key.models or pair[0] in key.models]
        (model,) = chance.choices([name for name, _ in allowed], [share for _, share in allowed])
        asked: dict[str, object] = {
            "model": model,
            "stream": chance.random() < key.use.stream,
            "max_tokens": 400,
            "messages": [{"role": "user", "content": chance.choice(QUESTIONS) + " " + "…" * chance.randint(0, 400)}],
        }
        if key.users:
            asked["user"] = f"user-{chance.randint(1, key.users)}"
        return asked

    def _call(self, key: str, asked: dict[str, object]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", PATH, json.dumps(asked).encode(), headers)
            response = connection.getresponse()
            while response.read(4096):
                pass
        connection.close()
