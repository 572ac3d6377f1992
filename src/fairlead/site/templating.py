"""Jinja with less to do for each output, each call and each template that another one includes: a page has more than a
thousand. What comes out is the same, and escaped as before."""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from jinja2 import Environment, pass_eval_context
from jinja2.compiler import CodeGenerator
from jinja2.compiler import Frame as Scope
from jinja2.nodes import EvalContext, Expr
from jinja2.runtime import Context, Macro
from markupsafe import Markup, escape

from fairlead.site.language import Language

_special: Final = re.compile("[&<>'\"]").search


def written(value: Any) -> str:
    """What stands on a page for a value: markup as it is, all else escaped. `escape` makes a Markup of each, which
    takes longer than to look whether there is something to escape."""
    kind = type(value)
    if kind is Markup or (kind is str and _special(value) is None):
        return value  # type: ignore[no-any-return]
    return escape(value)


class _Generator(CodeGenerator):
    """Writes templates as Python; as `jinja2.nativetypes` does, with another function around what is put out."""

    def _output_child_pre(self, node: Expr, scope: Scope, finalize: CodeGenerator._FinalizeInfo) -> None:
        if scope.eval_ctx.volatile or not scope.eval_ctx.autoescape or finalize.src is not None:
            super()._output_child_pre(node, scope, finalize)
        else:
            self.write("environment.written(")


class _Context(Context):
    """Calls functions and macros; only what wants to know where it is called from is left to Jinja."""

    def call(self, called: Callable[..., Any], /, *given: Any, **named: Any) -> Any:
        kind: type = type(called)
        if kind is Macro:
            given = (self.eval_ctx, *given)
        elif hasattr(called, "jinja_pass_arg") or hasattr(kind.__call__, "jinja_pass_arg"):
            return super().call(called, *given, **named)
        named.pop("_loop_vars", None)
        named.pop("_block_vars", None)
        return called(*given, **named)


class QuickEnvironment(Environment):
    code_generator_class = _Generator
    context_class = _Context
    written = staticmethod(written)

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """Those of the environment themselves, which nobody changes for one template. To copy what Jinja gives takes
        longer than the rest of a context, and a page makes dozens."""
        return self.globals if not d else {**self.globals, **d}

    def install(self, language: Language) -> None:
        """Sentences with places to fill in, which are escaped where they are not markup."""
        self.install_gettext_callables(language.gettext, language.ngettext, newstyle=True)  # type: ignore[attr-defined]

        @pass_eval_context
        def gettext(about: EvalContext, message: str, /, **values: Any) -> str:
            return _filled(about, language.gettext(message), values)

        @pass_eval_context
        def ngettext(about: EvalContext, one: str, many: str, number: int, /, **values: Any) -> str:
            return _filled(about, language.ngettext(one, many, number), {"num": number, **values})

        self.globals.update(gettext=gettext, ngettext=ngettext)


def _filled(about: EvalContext, sentence: str, values: dict[str, Any]) -> str:
    if not about.autoescape:
        return sentence % values
    shown = {name: value if type(value) in (int, float) else escape(value) for name, value in values.items()}
    return Markup(sentence % shown)  # noqa: S704 - a sentence of ours, with escaped values
