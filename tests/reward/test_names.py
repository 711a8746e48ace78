"""Canonical forms of names, and the index of who bears them."""

import pickle
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import DataError
from medenv.records import Entity
from medenv.reward import EntityNames, normalise
from medenv.reward.answers.names import keys_of

from .builder import DRAVET, SCN1A, SCN2A


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("  Dravet   Syndrome ", "dravet syndrome"),
        ("The Dravet syndrome", "dravet syndrome"),
        ("Crohn's disease", "crohn disease"),
        ("Crohn’s disease", "crohn disease"),
        ("Wilms' tumour", "wilm tumor"),
        ("Sjögren syndrome", "sjogren syndrome"),
        ("β-thalassaemia", "beta thalassemia"),
        ("TGF-β1", "tgf beta 1"),
        ("IL-2", "il 2"),
        ("type IIB", "2 b"),
        ("Niemann-Pick disease, type C1", "niemann pick disease c 1"),
        ("factor VIII", "factor 8"),
        ("HER2+", "her 2 +"),
        ("HER2-", "her 2 -"),
        ("HER2−", "her 2 -"),
        ("HER2", "her 2"),
        ("signs & symptoms", "sign and symptom"),
        ("ＳＣＮ１Ａ", "scn 1 a"),
        ("SC\u200bN1\u00adA", "scn 1 a"),
        ("SCN\x001A", "scn 1 a"),
        ("**SCN1A**.", "scn 1 a"),
        ("A-T", "a t"),
        ("a T", "t"),
        ("pancreas", "pancreas"),
        ("\u200b\u200d", ""),
        ("?!", ""),
        ("", ""),
        ("SCN1A?", "scn 1 a ?"),
        ("~~SCN1A~~", "~ ~ scn 1 a ~ ~"),
        ("❌ SCN1A", "❌ scn 1 a"),
        ("↓ TSH", "↓ tsh"),
        ("-80", "- 80"),
        ("≥ 2.5", "> = 2 . 5"),
        ("10⁻³", "10 ^ - 3"),
        ("type I", "1"),
        ("complex IV", "complex 4"),
        ("trisomy X", "trisomy x"),
        ("localised goitre", "localized goiter"),
        ("analyses of faeces", "analyze of fece"),
        ("Xarelto™", "xarelto"),
    ],
)
def test_a_name_has_one_canonical_form(text, form):
    assert normalise(text) == form


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CAPN1", "CAPNS1"),
        ("NKX2-1", "NKX21"),
        ("22q11.2", "22q112"),
        ("HER2+", "HER2-"),
        ("type 1", "type 11"),
        ("factor V", "factor X"),
        ("typical", "atypical"),
        ("SCN1A", "SСN1A"),  # the second letter of the second is Cyrillic
        ("KCNQ2", "ΚCNQ2"),  # the first letter of the second is Greek
        ("Cushing disease", "Cushing syndrome"),
    ],
)
def test_what_tells_two_names_apart_is_kept(one, other):
    assert normalise(one) != normalise(other)


@given(st.text(max_size=60))
def test_normalising_ends_single_spaced_and_casefolded_whatever_comes_in(text):
    form = normalise(text)
    assert form == " ".join(form.split())
    assert form == form.casefold()
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Mn"} for char in form)


@given(st.text(alphabet="abcdeghlmnoprstuy ", min_size=1, max_size=40))
def test_case_and_invisible_characters_never_matter(text):
    assert normalise(text.upper()) == normalise(text)
    assert normalise("\u200b".join(text)) == normalise(text)


@pytest.mark.parametrize(
    ("name", "spoken"),
    [
        ("Deafness, autosomal recessive 12", "autosomal recessive deafness 12"),
        ("Charcot-Marie-Tooth disease, axonal, type 2A", "axonal Charcot-Marie-Tooth disease 2A"),
        ("Diabetes mellitus, type II", "diabetes mellitus type 2"),
        ("Anus, imperforate", "imperforate anus"),
    ],
)
def test_a_name_with_commas_is_also_known_in_its_spoken_order(name, spoken):
    preferred, others = keys_of(Entity(id="X:1", kind="disease", name=name))
    assert normalise(spoken) in {preferred, *others}


@pytest.fixture
def index():
    return EntityNames([SCN1A, SCN2A, DRAVET])


def test_an_index_knows_who_bears_a_name(index):
    assert len(index) == 3
    assert index.owners(normalise("NAC1")) == {SCN1A.id}
    assert index.owners("nobody") == frozenset()
    assert normalise("smei") in index
    assert index.kind(DRAVET.id) == "disease"
    assert index.kind("X:404") == ""


def test_an_index_survives_disk_and_pickle(index, tmp_path):
    index.save(tmp_path / "names.json")
    for copy in (EntityNames.load(tmp_path / "names.json"), pickle.loads(pickle.dumps(index))):
        assert copy.table == index.table
        assert copy.knows_word("dravet")
        assert copy.of_length(4, 4) == index.of_length(4, 4) == ["smei"]


def test_an_index_does_not_depend_on_the_order_of_its_entities(index):
    assert EntityNames([DRAVET, SCN2A, SCN1A]).table == index.table


def test_an_entity_without_a_legible_name_is_nobody(tmp_path):
    nameless = Entity(id="X:1", kind="gene", name="-")
    assert "" not in EntityNames([nameless])


def test_a_missing_index_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.json: expected an index of names: cannot be read"):
        EntityNames.load(tmp_path / "none.json")


def test_a_damaged_index_is_named(tmp_path):
    path = tmp_path / "names.json"
    path.write_text('{"kinds": 3}')
    with pytest.raises(DataError, match=r"expected an index of names: Expected `object`"):
        EntityNames.load(path)


@pytest.mark.parametrize("unit", ["a", "abcdef-", "abcdef "])
def test_the_time_for_a_name_grows_with_its_length(unit: str) -> None:
    began = time.perf_counter()
    normalise(unit * (200_000 // len(unit)))
    assert time.perf_counter() - began < 5  # in quadratic time it would be minutes
