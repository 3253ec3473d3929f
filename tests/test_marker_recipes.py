"""The recipes of docs/marker_recipes.md run on miniatures in the format of each database."""

import csv
import random
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from barcodemae.data import read_records
from barcodemae.data.presets import find_preset
from helpers.marker_relatives import BASES, Relative, relatives
from helpers.other_markers import ITS, MIFISH
from tokenization_barcodemae import reverse_complement

PAGE = Path(__file__).parent.parent / "docs" / "marker_recipes.md"
SECTIONS = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
RECIPES = {part.split("\n")[0]: "".join(re.findall(r"```bash\n(.*?)```", part, re.DOTALL)) for part in SECTIONS}

MIXTURE = "Several markers in one file"


def unite(number, one):
    ranks = f"k__Fungi;p__Ascomycota;c__Aaa;o__Aaales;f__Aaaceae;g__{one.genus};s__{one.species.replace(' ', '_')}"
    return f">{one.species.replace(' ', '_')}|MT{number:06}|SH{number:07}.10FU|refs|{ranks}\n{one.text}\n"


def mycoai(number, one):
    ranks = f"k__Fungi;p__Ascomycota;c__Aaa;o__Aaales;f__Aaaceae;g__{one.genus};s__{one.species.replace(' ', '_')}"
    return f">KY{number:06}|{ranks}|SH{number:07}.08FU\n{one.text}\n"


def mitohelper(number, one):
    header = "Accession\tSequence\tGene definition\tPhylum\tClass\tOrder\tFamily\tGenus\tSpecies\n"
    row = (f"AB{number:06}", one.text, "12S", "Chordata", "Actinopteri", "Aaiformes", "Aaidae", one.genus)
    return ("" if number else header) + "\t".join((*row, one.species)) + "\n"


def pr2(number, one):
    ranks = "k:Eukaryota,d:TSAR,p:Dinoflagellata,c:Dinophyceae,o:Peridiniales,f:Aaaceae"
    return f">AB{number:06}.1.1740_U;tax={ranks},g:{one.genus},s:{one.species.replace(' ', '_')}\n{one.text}\n"


def silva(number, one):
    lineage = f"Bacteria;Proteobacteria;Gammaproteobacteria;Pseudomonadales;Aaaceae;{one.genus};{one.species}"
    return f">HG{number:06}.1.1500 {lineage}\n{one.text.replace('T', 'U')}\n"


def bold(number, one):
    return f">ABCDE{number:03}-10|{one.species}|rbcL|KX{number:06}\n{one.text}\n"


FORMATS = {
    "Fungi: ITS from UNITE": ("unite.fasta", "its_asvs.fasta", "its_names.tsv", unite, True),
    "Fish: 12S from MitoFish": ("mitofish_12s.tsv", "edna_asvs.fasta", "12s_names.tsv", mitohelper, True),
    "Protists and other eukaryotes: 18S from PR2": ("pr2_SSU_UTAX.fasta", "18s_asvs.fasta", "18s_names.tsv", pr2, True),
    "Bacteria and archaea: 16S from SILVA": ("silva_nr99.fasta", "16s_asvs.fasta", "16s_names.tsv", silva, True),
    "Plants: rbcL from BOLD": ("bold_rbcl.fasta", "plants.fasta", "rbcl_names.tsv", bold, False),
    MIXTURE: ("mixture.fasta", "reads.fasta", "mixture_names.tsv", pr2, True),
    "Fungal ITS as MycoAI distributes it": ("trainset.fasta", "test1.fasta", None, mycoai, True),
}


def sequences(recipe, is_uneven):
    if recipe == MIXTURE:
        return [*of_marker(ITS, True), *of_marker(MIFISH, True, seed=2), *barcodes_of_coi()]
    return of_marker(ITS if "ITS" in recipe else "", is_uneven)


def of_marker(conserved, is_uneven, seed=1):
    rng = random.Random(seed - 1)
    before, after = ("".join(rng.choices(BASES, k=90)) for _ in range(2))
    return list(relatives(before, conserved or after, is_uneven, seed=seed))


def barcodes_of_coi():
    """Of each of 40 species, five barcodes of the bundled sample."""
    by_species = defaultdict(list)
    for row in read_records("sample").to_pylist():
        if row["genus"] and row["species"].startswith(f"{row['genus']} "):
            by_species[row["species"]].append(Relative(row["genus"], row["species"], row["nucleotides"]))
    return [one for found in [found for found in by_species.values() if len(found) >= 5][:40] for one in found[:5]]


def test_every_recipe_has_a_miniature():
    assert set(RECIPES) == set(FORMATS)


@pytest.mark.parametrize("recipe", FORMATS)
def test_headers_of_the_database_are_read(recipe, tmp_path):
    file, _, _, write, is_uneven = FORMATS[recipe]
    found = sequences(recipe, is_uneven)
    (tmp_path / file).write_text("".join(write(number, one) for number, one in enumerate(found)))
    records = read_records(tmp_path / file)
    assert len(set(records["id"].to_pylist())) == len(found)
    assert records["genus"].to_pylist() == [one.genus for one in found]
    assert records["species"].to_pylist() == [one.species for one in found]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", FORMATS)
def test_recipe_runs(recipe, tmp_path):
    file, queries, names, write, is_uneven = FORMATS[recipe]
    found = sequences(recipe, is_uneven)
    references, others = found[::5] + found[1::5] + found[2::5] + found[3::5], found[4::5]
    (tmp_path / file).write_text("".join(write(number, one) for number, one in enumerate(references)))
    if names is None:
        (tmp_path / queries).write_text("".join(write(number, one) for number, one in enumerate(others)))
    else:
        texts = [one.text if number % 2 else reverse_complement(one.text) for number, one in enumerate(others)]
        (tmp_path / queries).write_text("".join(f">{number}\n{text}\n" for number, text in enumerate(texts)))
    shell = f'PATH="{Path(sys.executable).parent}:$PATH"\n{RECIPES[recipe]}'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    if names is None:
        splits = pq.read_table(tmp_path / "yeasts.parquet")["split"].to_pylist()
        copies = {one.text for one in others} & {one.text for one in references}
        assert splits == ["copy" if one.text in copies else "test" for one in others]
        assert 0 < len(copies) < len(others)
    else:
        rows = list(csv.DictReader((tmp_path / names).open(), delimiter="\t"))
        right = [row["best_species"] == one.species for row, one in zip(rows, others, strict=True)]
        assert sum(right) > 0.9 * len(right)


def test_splits_of_mycoai_are_those_of_the_files(tmp_path):
    splits = {
        "trainset": "train",
        "trainset_valid": "val",
        "test1": "test_yeast",
        "test2": "test_filamentous",
        "test3": "test_mycoai",
    }
    one = of_marker(ITS, True)[0]
    for number, (name, split) in enumerate(splits.items()):
        (tmp_path / f"{name}.fasta").write_text(mycoai(number, one))
        record = read_records(tmp_path / f"{name}.fasta", find_preset("its-5m")).to_pylist()[0]
        assert (record["split"], record["genus"], record["species"]) == (split, one.genus, one.species)
        assert (record["phylum"], record["id"]) == ("Ascomycota", f"KY{number:06}")
