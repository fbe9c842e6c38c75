"""The text of an invitation."""

from __future__ import annotations

import string

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from sojourn.hosts.peers.tokens import PREFIX, Token, make_invite, read_token, write_token
from sojourn.runtime.errors import InvalidInput
from tests.hosts.peers.meeting import fresh_keys

SERVER = fresh_keys()
ONCE = fresh_keys()
TOKEN = Token("a", "tcp://10.0.0.1:7000", SERVER.public, ONCE.secret, 1000.5)
TEXT = write_token(TOKEN)


def test_a_token_is_one_word_that_reads_back_as_it_was_written() -> None:
    assert set(TEXT) <= set(string.ascii_letters + string.digits + "-_")
    assert read_token(TEXT) == TOKEN
    assert read_token(f"  {TEXT}\n") == TOKEN


def test_the_inviting_host_remembers_the_public_half_of_the_secret_in_the_token() -> None:
    text, row = make_invite("a", TOKEN.address, SERVER.public, 1000.5)
    token = read_token(text)
    assert zmq.curve_public(token.secret.encode()).decode() == row.public_key
    assert (row.expires_at, row.used_by) == (1000.5, None)
    assert row.public_key not in text


def test_every_invitation_has_a_secret_of_its_own() -> None:
    first, second = (make_invite("a", TOKEN.address, SERVER.public, 1.0)[1] for _ in range(2))
    assert first.public_key != second.public_key


@given(st.integers(0, len(TEXT) - 1), st.sampled_from(string.ascii_letters + string.digits + "-_= \nä"))
def test_a_token_with_any_character_changed_is_refused(place: int, character: str) -> None:
    changed = TEXT[:place] + character + TEXT[place + 1 :]
    try:
        read = read_token(changed)
    except InvalidInput:
        return
    assert read == TOKEN  # the same character, or a last one whose low bits mean nothing


@pytest.mark.parametrize("junk", ["!", "!!!!", "\n", " ", "=", "ä", "A"])
def test_a_token_with_something_in_between_is_refused(junk: str) -> None:
    with pytest.raises(InvalidInput):
        read_token(TEXT[:40] + junk + TEXT[40:])


@given(st.integers(0, len(TEXT) - 1))
def test_a_token_that_was_cut_off_is_refused(length: int) -> None:
    with pytest.raises(InvalidInput, match="not all of it"):
        read_token(TEXT[:length])


@given(st.text())
def test_any_other_text_is_refused_with_a_sentence(text: str) -> None:
    for word in (text, PREFIX + text):
        with pytest.raises(InvalidInput, match="this is no token"):
            read_token(word)


@pytest.mark.parametrize(
    "token",
    [
        Token("a", "ipc:///tmp/x", SERVER.public, ONCE.secret, 1.0),
        Token("a", "tcp://nowhere", SERVER.public, ONCE.secret, 1.0),
        Token("a", TOKEN.address, "no key", ONCE.secret, 1.0),
        Token("a", TOKEN.address, SERVER.public, "~" * 40, 1.0),
        Token("a", TOKEN.address, SERVER.public, ONCE.secret, float("nan")),
    ],
    ids=["other transport", "no port", "no server key", "no secret", "no time"],
)
def test_a_forged_token_that_could_not_be_used_is_refused_when_it_is_read(token: Token) -> None:
    with pytest.raises(InvalidInput):
        read_token(write_token(token))
