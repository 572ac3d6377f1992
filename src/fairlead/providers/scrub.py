"""What a provider says about an error may hold the operator's keys, addresses and files: they are taken out before
anybody else reads it. Pure."""

from __future__ import annotations

import re

HIDDEN = "[hidden]"
ADDRESS = "[internal address]"
PATH = "[path]"
# Names that no public DNS has, and those that only look like a public one.
_PRIVATE_ENDS = (
    "local",
    "localhost",
    "localdomain",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "svc",
    "private",
    "test",
)

_WITH_CREDENTIALS = re.compile(r"\b(bearer|basic)\s+[\w.~+/=*-]{6,}", re.IGNORECASE)
_NAMED_SECRET = re.compile(
    r"""\b(authorization|(?:x-)?(?:goog-)?api[-_]?key|apikey|access[-_]?key|access[-_]?token|auth[-_]?token|token|key|secret|
        password|passwd|sig|signature|credential)(["']?\s*[:=]\s*["']?)(?!\[)[^\s"',;&}]{6,}""",
    re.IGNORECASE | re.VERBOSE,
)
# As vendors begin their keys: OpenAI, Anthropic, Stripe, Groq, xAI, Hugging Face, Nvidia, ours; Google; AWS; JWT.
_KEY = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|nvapi|r8|tgp|pplx|csk|fw|key)[-_][\w*.-]{8,}|\bAIza[\w*-]{10,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|\beyJ[\w-]{8,}\.[\w.-]{8,}"
)
_URL = re.compile(r"""\b([a-z][a-z0-9+.-]{1,15})://([^\s"'<>(){}|\\^`\]]+)""", re.IGNORECASE)
_IP = re.compile(
    r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\d.]*\d)|\[[0-9a-f:]{3,39}\](?::\d{1,5})?", re.IGNORECASE
)
_HOST = re.compile(
    rf"\b(?:localhost|[\w-]+(?:\.[\w-]+)*\.(?:{'|'.join(_PRIVATE_ENDS)}))(?::\d{{1,5}})?(?![\w-])", re.IGNORECASE
)
_FILE = re.compile(
    r"(?<![\w:/.])/(?:app|code|data|etc|home|mnt|opt|private|root|run|srv|tmp|usr|Users|var|venv|workspace|models)/[^\s\"',:;)]+"
    r"|\b[A-Za-z]:\\[^\s\"',;)]+"
)


def scrubbed(text: str, host: str = "") -> str:
    """The text without keys, addresses that are not public, files of the provider's, and `host`, where it runs. A
    public address keeps its host and path, without what stands behind `?` and `#`: that is documentation."""
    text = _URL.sub(_shown_url, text)
    text = _WITH_CREDENTIALS.sub(rf"\1 {HIDDEN}", text)
    text = _KEY.sub(HIDDEN, text)
    text = _NAMED_SECRET.sub(rf"\1\2{HIDDEN}", text)
    text = _FILE.sub(PATH, text)
    text = _HOST.sub(ADDRESS, text)
    text = _IP.sub(ADDRESS, text)
    return without_host(text, host)


def holds_secret(text: str) -> bool:
    """Whether it holds something in the shape of a credential."""
    return any(pattern.search(text) for pattern in (_WITH_CREDENTIALS, _KEY))


def without_host(text: str, host: str) -> str:
    """The text without the name of this host; a name of one word, which may be any word, only where a port follows."""
    if not host or host.lower() not in text.lower():
        return text
    port = r"(?::\d{1,5})?" if "." in host else r":\d{1,5}"
    return re.sub(rf"(?:\w+://)?\b{re.escape(host)}{port}(?:/[^\s\"')]*)?", ADDRESS, text, flags=re.IGNORECASE)


def _shown_url(found: re.Match[str]) -> str:
    scheme, rest = found[1].lower(), found[2]
    place = re.split(r"[?#]", rest, maxsplit=1)[0]
    name = re.split(r"[/:]", place, maxsplit=1)[0].lower()
    if scheme not in ("http", "https") or "@" in place.partition("/")[0] or not _is_public(name):
        return ADDRESS
    return f"{scheme}://{place}"


def _is_public(name: str) -> bool:
    parts = name.split(".")
    return len(parts) > 1 and parts[-1].isalpha() and parts[-1] not in _PRIVATE_ENDS and "svc" not in parts
