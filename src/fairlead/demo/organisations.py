"""The organisations of the demonstration: who they are, what they do with models, and how much."""

from __future__ import annotations

from typing import Final, NamedTuple

from fairlead.people.roles import Role


class Use(NamedTuple):
    """What calls are like. `prompt`, `answer`: median tokens; `cached`: the part of the prompt that is read from the
    provider's cache, where it has one; `models`: their shares, empty: all by their popularity; `hours`: when: "office",
    "day" or "night"; `sessions`: calls name sessions of about so many calls, 0: none; `users`: how many end users."""

    prompt: int
    answer: int
    cached: float
    stream: float
    hours: str = "office"
    models: tuple[tuple[str, float], ...] = ()
    sessions: int = 0
    users: int = 0


CHAT: Final = Use(700, 320, 0.1, 0.97, "day")
DOCUMENTS: Final = Use(5_200, 240, 0.35, 0.8, models=(("gemini-2.5-flash", 5), ("mistral-small-3.2", 3),
                                                      ("llama-3.3-70b-instruct", 3), ("gpt-5-mini", 2)))  # fmt: skip
CODING: Final = Use(16_000, 420, 0.82, 0.99, sessions=22, models=(
    ("claude-sonnet-4-6", 5), ("qwen3-coder", 4), ("kimi-k2.6", 3), ("glm-4.6", 2), ("gpt-oss-120b", 2)))  # fmt: skip
BATCH: Final = Use(1_300, 90, 0.2, 0.0, "night", models=(
    ("mistral-small-3.2", 4), ("gemma-3-27b-it", 4), ("gpt-oss-120b", 4), ("qwen3-235b-a22b-2507", 2)))  # fmt: skip
RESEARCH: Final = Use(2_400, 900, 0.15, 0.9, models=(
    ("deepseek-v3.2", 5), ("qwen3-235b-a22b-2507", 3), ("claude-sonnet-4-6", 1), ("kimi-k2.6", 2)))  # fmt: skip


class DemoKey(NamedTuple):
    """`share`: of all calls; `budgets`: dollars by period; `since`: the day on which it was made."""

    name: str
    use: Use
    share: float
    project: str = ""
    member: str = ""
    budgets: tuple[tuple[str, str], ...] = ()
    limits: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    since: int = 0
    revoked: int = 0
    users: int = 0


class DemoMember(NamedTuple):
    """A person and their `role` in the organisation; `operator`: of the server, too."""

    name: str
    role: Role
    budgets: tuple[tuple[str, str], ...] = ()
    operator: bool = False

    @property
    def email(self) -> str:
        return f"{self.name.lower().replace(' ', '.')}@example.org"


class Organisation(NamedTuple):
    """`credit`: dollars that it gets at first, and again on each of the days `paid`."""

    name: str
    prepaid: bool
    credit: str
    paid: tuple[int, ...]
    since: int
    projects: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    members: tuple[DemoMember, ...]
    keys: tuple[DemoKey, ...]


ORGANISATIONS: Final = (
    Organisation(
        "Platform team", False, "0", (), 0,
        (("Internal tools", (("month", "150"),)), ("Evaluation", ())),
        (DemoMember("Mara Lindqvist", "owner", operator=True), DemoMember("Theo Brandt", "admin", operator=True),
         DemoMember("Ines Okafor", "viewer")),
        (
            DemoKey("assistant in the intranet", CHAT, 0.10, "Internal tools", users=40),
            DemoKey("nightly evaluation", BATCH, 0.06, "Evaluation", "Theo Brandt", (("day", "4"),)),
            DemoKey("theo's laptop", CODING, 0.02, "", "Theo Brandt", since=2),
        ),
    ),
    Organisation(
        "Northlight Studio", True, "220", (12, 26, 38), 0,
        (("Storyboard", (("month", "300"),)), ("Editor plug-in", ())),
        (DemoMember("Ada Winter", "owner"), DemoMember("Jonas Keller", "admin"), DemoMember("Mina Park", "member",
                                                                               (("month", "120"),)),
         DemoMember("Luis Moreno", "member"), DemoMember("Greta Holm", "billing")),
        (
            DemoKey("storyboard, production", CHAT, 0.20, "Storyboard", users=160),
            DemoKey("storyboard, staging", CHAT, 0.03, "Storyboard", "Jonas Keller", (("day", "2"),),
                    ("requests_per_minute=60",)),
            DemoKey("plug-in", CODING, 0.07, "Editor plug-in", "", (("month", "250"),), since=6),
            DemoKey("mina", CODING, 0.03, "", "Mina Park", since=11),
            DemoKey("old plug-in", CHAT, 0.02, "Editor plug-in", revoked=21),
        ),
    ),
    Organisation(
        "Harbour Health", True, "120", (15, 30), 1,
        (("Discharge letters", (("month", "160"),)), ("Literature", ())),
        (DemoMember("Samir Haddad", "owner"), DemoMember("Nora Lind", "admin"), DemoMember("Emil Sato", "member")),
        (
            DemoKey("letters, production", DOCUMENTS, 0.13, "Discharge letters",
                    models=("mistral-small-3.2", "llama-3.3-70b-instruct", "gemini-2.5-flash", "gpt-5-mini")),
            DemoKey("literature search", RESEARCH, 0.05, "Literature", "Emil Sato", (("week", "20"),)),
            DemoKey("coding of reports", BATCH, 0.06, "Discharge letters", "", (("day", "3"),)),
        ),
    ),
    Organisation(
        "Tandem Robotics", True, "300", (20, 32), 3,
        (("Planner", ()), ("Field reports", (("month", "60"),))),
        (DemoMember("Yuki Tanaka", "owner"), DemoMember("Pavel Novak", "member", (("month", "150"),)),
         DemoMember("Leila Amari", "member"), DemoMember("Tom Adeyemi", "billing")),
        (
            DemoKey("coding agents", CODING, 0.07, "Planner", limits=("concurrent_requests=40",)),
            DemoKey("pavel", CODING, 0.03, "", "Pavel Novak"),
            DemoKey("field reports", DOCUMENTS, 0.05, "Field reports", users=25),
            DemoKey("simulation", RESEARCH, 0.03, "Planner", "Leila Amari", since=14),
        ),
    ),
    Organisation(
        "Quill and Daughters", True, "8", (19, 34), 8,
        (),
        (DemoMember("Hanne Quill", "owner"),),
        (DemoKey("bookshop chat", CHAT, 0.05, users=30, limits=("requests_per_minute=30",)),),
    ),
)  # fmt: skip
