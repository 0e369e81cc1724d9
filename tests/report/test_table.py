"""Tables on a narrow terminal: a row goes on in lines of its own, and no line is wider than the terminal."""

from hypothesis import given
from hypothesis import strategies as st

from tradebot.report.table import fold, listing, table

HEAD = ("closed", "symbol", "net")
BODY = [("2025-01-01", "BTC", "1.50"), ("2025-01-02", "ETHEREUM", "-20")]


def test_a_table_that_fits_stands_in_columns() -> None:
    wide = table(HEAD, BODY, left=2)
    assert table(HEAD, BODY, left=2, width=26) == wide
    assert wide.splitlines()[0] == "closed      symbol     net"


def test_a_row_too_wide_goes_on_indented() -> None:
    assert table(HEAD, BODY, left=2, width=20).splitlines() == [
        "closed      symbol",
        "     net",
        "2025-01-01  BTC",
        "    1.50",
        "2025-01-02  ETHEREUM",
        "     -20",
    ]


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(st.tuples(*[st.text("ab", min_size=1, max_size=9)] * n), min_size=1, max_size=4)
    ),
    st.integers(13, 60),
)
def test_no_line_is_wider_than_the_terminal_and_no_cell_is_lost(rows: list[tuple[str, ...]], width: int) -> None:
    text = table(rows[0], rows[1:], width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert text.split() == [cell for row in rows for cell in row]


def test_a_long_sentence_is_folded_between_words() -> None:
    assert fold("one two three\nfour", 8) == "one two\n    three\nfour"
    assert fold("one two three", None) == "one two three"


def test_a_listing_has_a_column_of_text_for_each_key_and_colours_how_things_stand() -> None:
    rows = [{"check": "disk", "result": "ok"}, {"check": "clock", "result": "fail", "what_now": "mend\x1bit"}]
    keys = ("check", "result", "what_now")
    assert listing(keys, rows).splitlines() == ["check  result  what now", "disk   ok      -", "clock  fail    mend?it"]
    coloured = listing(keys, rows, colour=True)
    assert "\x1b[32mok    \x1b[0m" in coloured
    assert "\x1b[31mfail  \x1b[0m" in coloured
