"""Templates come out as Jinja makes them, in less time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import DictLoader, Environment, StrictUndefined, UndefinedError, pass_context, pass_environment
from jinja2.runtime import Context
from markupsafe import Markup, escape

from fairlead.site.language import ENGLISH, Language, languages
from fairlead.site.templating import QuickEnvironment, written
from fairlead.site.translated import environment

TEMPLATES = {
    "parts.html": (
        "{% macro cell(value, note='') %}<td>{{ value }}{{ note }}{{ shared }}</td>{% endmacro %}"
        "{% macro row() %}<tr>{{ caller('<c>') }}</tr>{% endmacro %}"
    ),
    "base.html": "<h1>{% block title %}{{ name }}{% endblock %}</h1>{% block main %}{% endblock %}",
    "included.html": "<i>{{ name }}{{ again(name) }}</i>",
    "page.html": (
        "{% extends 'base.html' %}{% from 'parts.html' import cell, row %}{% block main %}"
        "{% for value in values %}{{ cell(value, note=value ~ '&') }}{{ cell(where()) }}{{ loop.index }}"
        "{% call(c) row() %}{{ cell(c) }}{{ value | upper }}{% endcall %}{% include 'included.html' %}{% endfor %}"
        "{% set kept %}<b>{{ name }}</b>{% endset %}{{ kept }}{{ kept ~ name }}{{ which() }}{{ thing(name) }}"
        "{% trans who=name, share=0.5 %}<b>{{ who }}</b> has 100 % of {{ share }}{% endtrans %}"
        "{% trans count=values | length %}{{ count }} call of <i>x</i>{% pluralize %}{{ count }} calls{% endtrans %}"
        "{{ super() }}{% endblock %}"
    ),
    "plain.txt": "{{ name }}{% trans who=name %}by {{ who }}{% endtrans %}",
}


class Thing:
    def __call__(self, name: str) -> str:
        return f"<{name}>"


@pass_context
def where(context: Context) -> str:
    return f"<{context.name}: {context['name']}>"


@pass_environment
def which(environment: Environment) -> str:
    return f"{environment.undefined.__name__} &"


def made(kind: type[Environment]) -> Environment:
    made = kind(
        loader=DictLoader(TEMPLATES),
        autoescape=lambda name: bool(name and name.endswith(".html")),
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
    )
    if isinstance(made, QuickEnvironment):
        made.install(ENGLISH)
    else:
        made.install_gettext_callables(ENGLISH.gettext, ENGLISH.ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.globals.update(where=where, which=which, thing=Thing(), again=lambda text: Markup("<u>{}</u>").format(text))
    return made


VALUES = st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.text().map(Markup))
OURS, JINJAS = made(QuickEnvironment), made(Environment)
for one in (OURS, JINJAS):
    one.globals["shared"] = "<shared>"


@given(VALUES)
def test_what_is_put_out_is_escaped_as_markupsafe_does(value: Any) -> None:
    assert written(value) == str(escape(value))


@given(st.text(), st.lists(VALUES, max_size=3))
def test_pages_are_those_that_jinja_makes(name: str, values: list[Any]) -> None:
    for page in ("page.html", "plain.txt"):
        ours = OURS.get_template(page).render(name=name, values=values)
        assert ours == JINJAS.get_template(page).render(name=name, values=values)


def test_what_is_not_there_is_an_error_and_not_nothing() -> None:
    for source in ("{{ nobody }}", "{{ nobody() }}", "{{ shared.nobody }}", "{{ shared.nobody() }}"):
        with pytest.raises(UndefinedError):
            OURS.from_string(source).render()


@pytest.mark.parametrize("language", languages(), ids=lambda one: one.code)
def test_words_to_fill_in_are_escaped_in_every_language(language: Language) -> None:
    template = environment(language, DictLoader({"one.html": "{% trans day=what %}read {{ day }}{% endtrans %}"}))
    assert template.get_template("one.html").render(what="<b>").count("&lt;b&gt;") == 1
