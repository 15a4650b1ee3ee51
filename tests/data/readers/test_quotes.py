"""Quotation marks of text tables."""

import pytest

from deepjive import Modalities


def test_a_quotation_mark_that_is_not_closed_is_named(tmp_path):
    lines = ["id,x,y", *(f"s{i},{i}.5,{i * i}" for i in range(12))]
    lines[6] = lines[6].replace("s5", '"s5')
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=r"quotation mark in row 6, below the names of the columns, is not closed"):
        Modalities({"a": tmp_path / "a.csv", "b": tmp_path / "a.csv"})
