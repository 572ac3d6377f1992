"""The words of the catalogue and of states as people read them; each is translated where it is shown."""

from __future__ import annotations

from collections.abc import Mapping


def _(message: str) -> str:
    """Marks a word for translation."""
    return message


def _n(one: str, many: str) -> tuple[str, str]:
    """Marks a word that depends on a number."""
    return one, many


AGO = (
    _n("%(num)s year ago", "%(num)s years ago"),
    _n("%(num)s month ago", "%(num)s months ago"),
    _n("%(num)s day ago", "%(num)s days ago"),
    _n("%(num)s hour ago", "%(num)s hours ago"),
)
STATE_TITLES: Mapping[str, str] = {
    "up": _("Available"),
    "degraded": _("Degraded"),
    "down": _("Down"),
    "none": _("Not deployed"),
}
MODALITY_TITLES: Mapping[str, str] = {
    "text": _("Text"),
    "image": _("Image"),
    "audio": _("Audio"),
    "video": _("Video"),
    "file": _("File"),
}
# Classes of tokens that have a price, and what is charged besides.
CLASS_TITLES: Mapping[str, str] = {
    "request": _("Each request"),
    "input": _("Input"),
    "image": _("Image input"),
    "audio_input": _("Audio input"),
    "output": _("Output"),
    "audio_output": _("Audio output"),
}
# What a model is for whose mode is not "chat".
MODE_WORDS: Mapping[str, str] = {
    "embedding": _("Turns texts into vectors"),
    "rerank": _("Orders documents by a question"),
    "moderation": _("Classifies texts"),
    "image": _("Makes images"),
    "speech": _("Speaks a text"),
    "transcription": _("Writes down what is said"),
}
CAPABILITY_TITLES: Mapping[str, str] = {
    "reasoning": _("Reasoning"),
    "tools": _("Tools"),
    "parallel_tools": _("Parallel tools"),
    "structured_outputs": _("Structured outputs"),
    "vision": _("Vision"),
    "audio_input": _("Audio input"),
    "audio_output": _("Audio output"),
    "video_input": _("Video input"),
    "file_input": _("Files"),
    "image_output": _("Image output"),
    "prefill": _("Prefill"),
    "prompt_caching": _("Prompt caching"),
    "web_search": _("Web search"),
}
SORT_TITLES: Mapping[str, str] = {
    "": _("Available first, then newest"),
    "name": _("Name, A to Z"),
    "-name": _("Name, Z to A"),
    "-released": _("Newest"),
    "released": _("Oldest"),
    "-context": _("Longest context"),
    "context": _("Shortest context"),
    "-output": _("Longest answer"),
    "output": _("Shortest answer"),
    "price": _("Cheapest input"),
    "-price": _("Most expensive input"),
    "output_price": _("Cheapest output"),
    "-output_price": _("Most expensive output"),
}
# Why a breaker opened: the codes of errors.py.
REASON_TITLES: Mapping[str, str] = {
    "upstream_unreachable": _("could not be reached"),
    "upstream_timeout": _("timed out"),
    "upstream_rate_limited": _("limits the request rate"),
    "upstream_denied": _("rejected the credentials"),
    "upstream_failed": _("returned errors"),
    "upstream_invalid": _("sent invalid answers"),
    "upstream_cut": _("cut answers off"),
    "engine_crashed": _("crashed"),
}
# Why a model cannot be called at all, as the gateway says it.
OBSTACLES = (
    _("no deployment configured"),
    _("the engine is not ready"),
    _("the engine crashed too often and is no longer restarted"),
)
UNITS = (_("ms"), _("tokens/s"))
NO_TRAFFIC = _("no traffic")
