"""Tokens: what is made can sign, what cannot sign is refused in a sentence, and no sentence shows a secret."""

import base64

import pytest
from format_cases import SAMPLES, SIGNATURES, render

from dispatcher.formats import FORMATS
from dispatcher.formats.tokens import MOST_CHARACTERS, check_token, new_token, public_key
from shared.signatures import load_telnyx_key

SEED = base64.b64encode(bytes(range(32))).decode()
GOOD = {
    "phaxio-v2.1": ["012345", "0123456789", "pass phrase", "caf\u00e9s"],
    "sinch-v3": ["012345", "0123456789"],
    "telnyx-v2": [SEED],
    "standard-v1": [
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_YWJjZGVm",
        "YWJjZGVm",
    ],
}
BAD_ANYWHERE = ["", " x", "x ", "x\n", "a\0b", "x" * (MOST_CHARACTERS + 1)]
BAD = {
    "phaxio-v2.1": ["x", "12345"],
    "sinch-v3": ["x", "12345"],
    "telnyx-v2": [SEED[:-4], SEED.rstrip("="), bytes(range(32)).hex(), SEED + "AAAA", "whsec_" + SEED],
    "standard-v1": ["whsec_", "whsec_***", "no secret", "whpk_" + SEED, "whsec_YWJj", "YWI"],
}


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_new_token_is_usable_long_random_and_signs(format_name):
    tokens = {new_token(format_name) for _ in range(20)}
    assert len(tokens) == 20
    for token in tokens:
        assert check_token(format_name, token) is None
        assert len(token) >= 43, "32 random bytes"
    assert set(SIGNATURES) & set(render(format_name, SAMPLES[4], tokens=(tokens.pop(),)).headers)


@pytest.mark.parametrize(("format_name", "token"), [(name, each) for name, tokens in GOOD.items() for each in tokens])
def test_a_token_that_a_client_brings_is_taken_if_it_can_sign(format_name, token):
    assert check_token(format_name, token) is None
    assert set(SIGNATURES) & set(render(format_name, SAMPLES[4], tokens=(token,)).headers)


@pytest.mark.parametrize(
    ("format_name", "token"), [(name, each) for name in GOOD for each in BAD_ANYWHERE + BAD[name]], ids=repr
)
def test_a_token_that_cannot_sign_is_refused_in_a_sentence_that_does_not_show_it(format_name, token):
    sentence = check_token(format_name, token)
    assert sentence
    assert token in {"", "x ", " x", "whsec_"} or token not in sentence


def test_only_telnyx_v2_has_a_public_half():
    key = public_key("telnyx-v2", SEED)
    assert key is not None
    load_telnyx_key(key)
    assert key != SEED
    assert public_key("telnyx-v2", "no seed") is None
    assert {public_key(name, new_token(name)) for name in FORMATS if name != "telnyx-v2"} == {None}
