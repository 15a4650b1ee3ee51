"""Gene sets of .gmt files."""

from __future__ import annotations

import gzip

import pytest

from deepjive.data import UnreadableError, read_gene_sets

TEXT = "IMMUNE\thttps://example.org\tCD4\tCD8A\tCD4\n\nHEME\t\tHBB\tHBA1\t\n"


def test_sets_are_read_with_each_gene_once(tmp_path):
    (tmp_path / "sets.gmt").write_text("\ufeff" + TEXT.replace("\n", "\r\n"), encoding="utf-8")
    with gzip.open(tmp_path / "sets.gmt.gz", "wt", encoding="utf-8") as file:
        file.write(TEXT)
    for name in ("sets.gmt", "sets.gmt.gz"):
        assert read_gene_sets(tmp_path / name) == {"IMMUNE": ["CD4", "CD8A"], "HEME": ["HBB", "HBA1"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\n", "holds no gene set"),
        ("IMMUNE\tdescription\tCD4\nHEME,HBB,HBA1\n", r"line 2 \('HEME,HBB,HBA1'\) names no gene"),
        ("\tdescription\tCD4\n", "line 1"),
        ("IMMUNE\t\tCD4\nHEME\t\tHBB\nIMMUNE\t\tCD8A\n", "lines 1 and 3 both name the set 'IMMUNE'"),
    ],
    ids=["empty", "commas", "no name", "repeated"],
)
def test_files_that_are_no_gene_sets_are_refused(tmp_path, text, message):
    (tmp_path / "sets.gmt").write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableError, match=message):
        read_gene_sets(tmp_path / "sets.gmt")


def test_damaged_files_are_refused_with_their_names(tmp_path):
    (tmp_path / "sets.gmt.gz").write_text(TEXT)
    with pytest.raises(UnreadableError, match=r"sets\.gmt\.gz could not be read"):
        read_gene_sets(tmp_path / "sets.gmt.gz")
    with pytest.raises(FileNotFoundError):
        read_gene_sets(tmp_path / "none.gmt")
