"""What write-up 001 claims on fusion: each number in words that hold it, each quotation linked to what it is of."""

import re

import pytest

from medutils.chapters.lumbar_fusion import as_written as nb
from medutils.evidence import load_reported, quoted, reported_values

CHAPTER, NOTEBOOK = "lumbar_fusion", "src/MM-FUSION/0 embeddings-fusion.ipynb"
REPORTED = load_reported(CHAPTER)
SPELLED = {1: "single", 3: "three"}


@pytest.mark.parametrize("claim", REPORTED.claims, ids=lambda claim: claim.id)
def test_a_claims_words_hold_its_first_number(claim):
    first = claim.value if isinstance(claim.value, float) else claim.value[0]
    printed = [float(text) for text in re.findall(r"\d+(?:\.\d+)?", claim.words)]
    minutes = [60 * int(one) + int(two) for one, two in re.findall(r"\[(\d+):(\d+)<", claim.words)]
    assert first in printed or first in minutes or SPELLED.get(int(first), "-") in claim.words


def test_no_number_is_answered_twice_or_given_by_part_one_too():
    ids = [claim.id for claim in REPORTED.claims]
    assert len(set(ids)) == len(ids)
    assert not set(ids) & set(reported_values("lumbar_embeddings"))
    assert all(claim.why for claim in REPORTED.claims if claim.result is None)


def test_quotations_of_code_lead_to_the_file_at_its_commit():
    for name in REPORTED.quotes:
        quote, write_up = quoted(CHAPTER, name)
        of_code = quote.section.endswith((".ipynb", ".md"))
        assert bool(write_up.code_address(quote.section)) == of_code
        if name.endswith(("_fault", "_code", "_right")):
            assert of_code and write_up.code[quote.section] in write_up.code_address(quote.section)


def test_what_is_rebuilt_has_the_settings_that_the_notebook_states():
    told = reported_values(CHAPTER)
    assert told["learning_rates"] == [*nb.RATE.values()]
    assert told["training_noise"] == [*nb.NOISE.values()]
    assert (told["test_noise"], told["training_epochs"], told["missing_rate"]) == (nb.TEST_NOISE, nb.EPOCHS, nb.DROPPED)
    assert [told["vae_latent"], told["attention_latent"]] == [*nb.LATENT.values()]
    assert told["autoencoder_units"] == [nb.VALUES, nb.HIDDEN, nb.VALUES]
