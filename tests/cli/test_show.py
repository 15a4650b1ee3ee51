import pytest

from deepjive.cli import show

ROWS = [(f"variance individual, {name}", *["12.3 ± 0.4"] * 8) for name in ("image", "sound")]
HEADER = ("", *"abcdefgh")


def test_a_table_in_a_file_is_as_wide_as_it_needs(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    show.table("figures", HEADER, ROWS)
    assert "variance individual, sound" in capsys.readouterr().out


@pytest.mark.parametrize("columns", ["60", "80"])
def test_words_of_the_first_column_stay_whole_where_there_is_little_room(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", columns)
    show.table("figures", HEADER, ROWS)
    printed = capsys.readouterr().out
    assert "individual," in printed
    assert max(map(len, printed.splitlines())) <= int(columns)
