"""Names and whole numbers, a line an image, as DeepFashion writes them."""

import numpy as np
import pytest

from swatchbook.data.number_rows import first_lines, read_blocks, read_rows
from swatchbook.data.strict_csv import DataError


def file(tmp_path, content: bytes):
    path = tmp_path / "rows.txt"
    path.write_bytes(content)
    return path


def test_padding_carriage_returns_and_blank_ends_change_nothing(tmp_path):
    path = file(tmp_path, b"a/b.jpg     012  -1   0  \r\nc.jpg 3 44 005\n \n\n")
    names, rows = read_rows(path, 3, named=True)
    assert names == ["a/b.jpg", "c.jpg"]
    assert rows.tolist() == [[12, -1, 0], [3, 44, 5]]


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("end", ["", "\n", "\n\n\n"])
def test_blocks_of_every_size_give_the_same_rows(tmp_path, rng, size, end):
    wanted = rng.integers(-1, 300, (40, 5))
    text = "2 lines\nof header\n" + "\n".join(
        f"img/{i}.jpg  " + "  ".join(map(str, r)) for i, r in enumerate(wanted)
    )
    blocks = list(read_blocks(file(tmp_path, (text + end).encode()), named=True, skip=2, size=size))
    assert np.concatenate([b.numbers for b in blocks]).reshape(40, 5).tolist() == wanted.tolist()
    assert [name for b in blocks for name in b.names] == [f"img/{i}.jpg" for i in range(40)]
    assert [b.first for b in blocks] == (3 + np.cumsum([0] + [len(b.counts) for b in blocks])[:-1]).tolist()


def test_lines_may_have_different_numbers_of_numbers(tmp_path):
    blocks = list(read_blocks(file(tmp_path, b"a 1 2\nb\nc 3\n"), named=True))
    assert np.concatenate([block.counts for block in blocks]).tolist() == [2, 0, 1]
    assert np.concatenate([block.numbers for block in blocks]).tolist() == [1, 2, 3]


def test_names_alone_have_rows_without_numbers(tmp_path):
    names, rows = read_rows(file(tmp_path, "ä.jpg\nb.jpg".encode()), 0, named=True)
    assert names == ["ä.jpg", "b.jpg"]
    assert rows.shape == (2, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"rows\.txt is empty; at least one line"),
        (b"1 2\n\n3 4\n", r"rows\.txt, line 2 is blank"),
        (b"1 2\n3\n", r"rows\.txt, line 2 has 1 number; allowed: 2"),
        (b"1 2\n3 4 5\n", r"rows\.txt, line 2 has 3 numbers; allowed: 2"),
        (b"1 2\n3 4.5\n", r"rows\.txt, line 2: '4\.5' is no whole number"),
        (b"1 2\n- 4\n", r"rows\.txt, line 2: '-' is no whole number"),
        (b"1 2\n3 --4\n", r"rows\.txt, line 2: '--4' is no whole number"),
        (b"1 2\n3 \xc3\xa4\n", r"rows\.txt, line 2: 'ä' is no whole number"),
        (b"1 1234567890\n", r"rows\.txt, line 1: '1234567890' is no whole number"),
    ],
)
def test_what_is_no_number_is_refused_by_its_line(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_rows(file(tmp_path, content), 2, named=False)


def test_a_missing_file_and_another_encoding_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.txt' cannot be read: No such file"):
        read_rows(tmp_path / "nowhere.txt", 2, named=False)
    with pytest.raises(DataError, match=r"nowhere\.txt' cannot be read: No such file"):
        first_lines(tmp_path / "nowhere.txt", 1)
    latin = file(tmp_path, "ä.jpg 1\n".encode("latin-1"))
    for read in (lambda: read_rows(latin, 1, named=True), lambda: first_lines(latin, 1)):
        with pytest.raises(DataError, match=r"rows\.txt is not UTF-8"):
            read()
