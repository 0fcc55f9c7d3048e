"""The one reader of CSV files, whatever program wrote them."""

import html
from pathlib import Path

import pytest

from medutils import tables
from medutils.errors import InputError
from medutils.tables import count_columns, encoding_note, few, figure_safe, markdown_safe, read_csv

TABLE = "name,value,\nfirst, 1 ,a note\n\nsecond,2\n"


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_separator_byte_order_mark_and_line_endings_do_not_matter(
    tmp_path: Path, separator: str, mark: str, ending: str
) -> None:
    table = read_csv(written(tmp_path, mark + TABLE.replace(",", separator).replace("\n", ending)), ("name", "value"))
    assert table.to_dict("index") == {2: {"name": "first", "value": "1"}, 4: {"name": "second", "value": "2"}}


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("a,b\n1,2\n\n3,4\n", {2: ["1", "2"], 4: ["3", "4"]}),
        ("\n\na;b\n1,5;2\n", {4: ["1,5", "2"]}),  # the first line is empty
        ('a,b\n"one\ntwo",2\n3,4\n', {3: ["one\ntwo", "2"], 4: ["3", "4"]}),  # a cell of two lines
        ('"a;b;c",d\n1,2\n', {2: ["1", "2"]}),  # separators inside a name
        ("a,b\nNA,nan\n", {2: ["NA", "nan"]}),  # text stays text
        ("a,b\n1\n2,3,,\n,,\n", {2: ["1", ""], 3: ["2", "3"]}),  # short, long but empty, without a value
        ("Unnamed: 0,a,b\n0,1,2\n", {2: ["1", "2"]}),
        ("a,b\n", {}),
    ],
)
def test_rows_are_told_by_their_line(tmp_path: Path, content: str, rows: dict[int, list[str]]) -> None:
    table = read_csv(written(tmp_path, content))
    assert table.T.to_dict("list") == rows


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("a,b,,\n1,2\n", 4),
        ("Unnamed: 0,a\n", 2),
        ("\n\na;b, with a comma;c\n", 3),
        ("\n", 0),
    ],
)
def test_the_columns_of_a_file_are_counted_with_those_that_are_not_read(tmp_path: Path, content: str, columns: int):
    assert count_columns(written(tmp_path, content)) == columns


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "found no header line"),
        ("\ufeff", "found no header line"),
        (";;\n", "found no header line"),
        (b"\xff\xfe\x00", "byte 0 is not UTF-8 text"),
        ("a,value\n1,2\n", "found no column 'name'; its columns are a, value"),
        ("a\n1\n", "found no column 'name', 'value'"),
        ("name,value,name\n1,2,3\n", "found the column 'name' more than once"),
        ("name,value\n1,2\n1,2,3\n", "line 3: found a row of 3 cells; expected 2"),
        ("name,value\n", "found 0 rows; expected at least 1"),
        ('name,value\n1,2\n3,"4\n5,6\n', "line 4: unexpected end of data"),  # a quote left open
        ("name,value\n1," + "x" * 200_000, "line 2: field larger"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, content: str | bytes, said: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_csv(path, ("name", "value"), min_rows=1)
    assert str(caught.value).startswith(f"{path}: {said}")


@pytest.mark.parametrize(("name", "said"), [("absent.csv", "no such file"), ("", "is a directory")])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_csv(tmp_path / name)


def test_text_that_is_not_utf8_is_taken_for_windows_and_noted(tmp_path: Path) -> None:
    path = written(tmp_path, "name,value\nFever 38°,low 90’s\n".encode("cp1252"))
    assert read_csv(path).to_dict("index") == {2: {"name": "Fever 38°", "value": "low 90’s"}}
    assert "cp1252" in encoding_note(path) and encoding_note(written(tmp_path, "name\n38°\n")) == ""


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_text_of_several_bytes_a_letter_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_csv(written(tmp_path, "name,valué\n1,2\n".encode(encoding)), ("name", "value"))


def test_a_table_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "a\n" + "1\n" * 5)
    monkeypatch.setattr(tables, "MAX_ROWS", 5)
    assert len(read_csv(path)) == 5
    monkeypatch.setattr(tables, "MAX_ROWS", 4)
    with pytest.raises(InputError, match="found more than 4 rows; expected at most as many"):
        read_csv(path)
    monkeypatch.setattr(tables, "MAX_BYTES", 11)
    with pytest.raises(InputError, match="found 12 bytes; expected at most 11"):
        read_csv(path)


@pytest.mark.parametrize(
    "name",
    ["COVID-19", "Normal/Mild", "l1_l2", "*a*", "<b>", "`x`", "$1$", "{term}`x`", "[a](b)", "# a", "1. a", "a|b", "\\"],
)
def test_markdown_shows_a_name_as_it_is_written(name: str) -> None:
    from markdown_it import MarkdownIt

    shown = MarkdownIt("commonmark").enable("table").render(markdown_safe(name))
    assert html.unescape(shown) == f"<p>{name}</p>\n"
    assert "$" not in markdown_safe(name).replace(r"\$", "") and "{" not in markdown_safe(name).replace(r"\{", "")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("COVID-19", "COVID-19"),
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("a<br>b", "a&lt;br&gt;b"),
        ("a & b &lt; c", "a &amp; b &amp;lt; c"),
        ("$x$ and $y$", "&#36;x&#36; and &#36;y&#36;"),
        ('<a href="x">', '&lt;a href="x"&gt;'),
        ("ill, called\nwell", "ill, called<br>well"),
    ],
)
def test_a_figure_shows_a_name_as_it_is_written(name: str, shown: str) -> None:
    assert figure_safe(name) == shown
    assert html.unescape(shown).replace("<br>", "\n") == name or "<br>" in name


def test_many_names_are_the_first_of_them_and_a_number() -> None:
    assert few([]) == "none" and few("ab") == "a, b" and few("abcd", 2) == "a, b and 2 more"
