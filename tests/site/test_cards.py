"""Tables whose rows are cards on narrow screens: what the style sheet needs, and what screen readers need."""

from __future__ import annotations

from markupsafe import Markup

from fairlead.site.cards import cards

TABLE = Markup(
    '<table class="own"><caption>Keys</caption><thead><tr><th scope="col">Name</th>'
    '<th scope="col" class="n"><a href="?sort=a">Spend &amp; tax</a><small>in $</small></th><td></td></tr></thead>'
    '<tbody><tr><th scope="row">a</th><td class="n">1</td><td><b>x</b></td></tr>'
    '<tr><td colspan="2">none</td><td>y</td></tr></tbody></table>'
)


def test_each_cell_has_the_head_of_its_column_as_label_and_its_role() -> None:
    made = cards(TABLE)
    assert '<th scope="row" role="rowheader" data-label="Name">a</th>' in made
    assert '<td class="n" role="cell" data-label="Spend &amp; tax">1</td>' in made
    assert '<table class="cards-of own" role="table"><caption>Keys</caption><thead role="rowgroup">' in made
    assert '<th scope="col" role="columnheader">Name</th>' in made
    assert made.count('role="row"') == 3


def test_a_cell_over_several_columns_or_below_an_empty_head_has_no_label() -> None:
    made = cards(TABLE)
    assert '<td role="cell"><b>x</b></td>' in made
    assert '<td colspan="2" role="cell">none</td><td role="cell">y</td>' in made


def test_what_stands_in_cells_stays_as_it_is() -> None:
    inside = Markup(
        '<table><thead><tr><th scope="col">"A"</th></tr></thead><tr><td>&lt;td&gt; <i a="1">b</i></td></tr>'
    )
    made = cards(inside)
    assert 'data-label="&#34;A&#34;">&lt;td&gt; <i a="1">b</i></td></tr>' in made
