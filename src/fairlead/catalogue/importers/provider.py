"""Any provider's `/v1/models` in OpenAI's form, with what engines add.

vLLM, SGLang: `max_model_len`; llama.cpp: `meta`; Mistral: `max_context_length`; Groq: `context_window`.
"""

from __future__ import annotations

from datetime import date

import msgspec
from msgspec import Struct

from fairlead.catalogue.files import Statements
from fairlead.catalogue.importers.reading import Reading, from_modalities, modalities


class _Meta(Struct, frozen=True):
    n_ctx: int | None = None
    n_ctx_train: int | None = None


class _Architecture(Struct, frozen=True):
    input_modalities: list[str] = []
    output_modalities: list[str] = []


class _Model(Struct, frozen=True):
    id: str
    name: str | None = None
    context_length: int | None = None
    context_window: int | None = None
    max_context_length: int | None = None
    max_model_len: int | None = None
    max_output_tokens: int | None = None
    meta: _Meta | None = None
    architecture: _Architecture | None = None
    supported_parameters: list[str] = []


class _List(Struct, frozen=True):
    data: list[_Model]


def read(body: bytes, read_on: date, key: str, title: str, url: str | None) -> Reading:
    """Raises msgspec.DecodeError for anything else."""
    models: dict[str, Statements] = {}
    dropped: dict[str, tuple[str, ...]] = {}
    for model in msgspec.json.decode(body, type=_List).data:
        context = next(filter(None, _contexts(model)), None)
        output = model.max_output_tokens
        if context and output and output > context:
            dropped[model.id] = (f"max_output_tokens {output} is above its own context_length {context}",)
            output = None
        taken: tuple[str, ...] = ()
        given: tuple[str, ...] = ()
        can: list[str] = []
        cannot: list[str] = []
        if model.architecture is not None:
            taken, given = (
                modalities(model.architecture.input_modalities),
                modalities(model.architecture.output_modalities),
            )
            can, cannot = from_modalities(taken, given)
        models[model.id] = Statements(
            title=title,
            kind="provider",
            read=read_on,
            url=url,
            id=model.id,
            name=model.name,
            context_length=context,
            max_output_tokens=output,
            input_modalities=taken or None,
            output_modalities=given or None,
            can=tuple(sorted(can)),
            cannot=tuple(sorted(cannot)),
            parameters=tuple(sorted(model.supported_parameters)),
        )
    return Reading(key, models, dropped)


def _contexts(model: _Model) -> tuple[int | None, ...]:
    meta = model.meta.n_ctx or model.meta.n_ctx_train if model.meta is not None else None
    return model.max_model_len, model.context_length, model.context_window, model.max_context_length, meta
