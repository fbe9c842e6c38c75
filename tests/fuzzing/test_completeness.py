"""The list of decoders holds every place in the sources where bytes or text become values."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from sojourn.runtime.wire import actor, client, peer, zygote
from tests.fuzzing.decoders import DECODERS

ROOT = Path(__file__).parents[2]
READERS = frozenset({
    "msgspec.msgpack.decode", "msgspec.json.decode", "msgspec.msgpack.Decoder", "msgspec.json.Decoder",
    "json.loads", "json.load", "msgpack.unpackb", "msgpack.Unpacker", "int.from_bytes",
    "HEADER.unpack_from", "RING_ENTRY.iter_unpack", "pickle.loads", "marshal.loads",
})
"""Calls that read bytes; what they are named where they are called."""

OWN = {
    "actors/zygote/__main__.py:main": "arguments that the supervisor gave to a process it started",
    "actors/zygote/fresh.py:main": "what a zygote wrote into a process it started",
    "runtime/handoff/source.py:recover": "a record of this host's own store, which checks its pages",
    "hosts/supervisor/moves.py:_doubt_presumption": "a record of this host's own store",
    "hosts/supervisor/desk.py:_seen": "an answer of this host's own, kept in its store",
    "hosts/supervisor/batches.py:_answered": "an answer of this host, or one that was checked as it came",
    "hosts/supervisor/draining.py:_answered": "an answer of this host, or one that was checked as it came",
    "hosts/connection.py:request": "an answer of the supervisor that the client has asked",
    "hosts/connection.py:tell": "news of the supervisor that the client has asked",
    "hosts/connection.py:exchange": "news of the supervisor that the client has asked",
    "hosts/demo.py:_move_at_two": "what this program printed",
    "runtime/ledger.py:head": "what the same object encoded",
    "runtime/handoff/target.py:decode_record": "a record of this host's own store",
    "runtime/values_raw.py:read_reference": "forty bytes, counted before",
    "runtime/values_leaves.py:_integer": "reads any bytes; its length is that of the extension around it",
}
"""Places whose input was written by this host itself, and why that is so."""

BODIES = ("decode_body", "decode_documents", "decode_waited")
"""Decoders of what is in an answer: fuzzed as one, "bodies of answers"."""


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _reads(node: ast.AST, owner: str) -> Iterator[str]:
    """Give the function, or else the module's name, around every call that reads bytes."""
    for child in ast.iter_child_nodes(node):
        inner = owner
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = child.name
        elif isinstance(child, (ast.Assign, ast.AnnAssign)) and not owner:
            target = child.targets[0] if isinstance(child, ast.Assign) else child.target
            inner = _name(target)
        if isinstance(child, ast.Call) and _name(child.func) in READERS:
            yield inner
        yield from _reads(child, inner)


def places() -> set[str]:
    """Every place in the sources where bytes are read."""
    found: set[str] = set()
    for folder in ("runtime", "hosts", "actors"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            file = path.relative_to(ROOT).as_posix()
            found.update(f"{file}:{owner}" for owner in _reads(ast.parse(path.read_text()), ""))
    return found


def test_every_place_that_reads_bytes_is_fuzzed_or_reads_its_own() -> None:
    fuzzed = {place for decoder in DECODERS for place in decoder.reads}
    found = places()
    assert found - fuzzed - OWN.keys() == set(), "put it into tests/fuzzing/decoders.py"
    assert OWN.keys() - found == set(), "these places are no more"
    assert not fuzzed & OWN.keys()


def test_what_is_said_to_be_fuzzed_is_there() -> None:
    for decoder in DECODERS:
        for place in decoder.reads:
            file, _, name = place.rpartition(":")
            assert name in (ROOT / file).read_text(), place


def test_every_decoder_of_the_wire_is_in_the_list() -> None:
    decoded = {decoder.decode for decoder in DECODERS}
    for module in (actor, client, zygote):
        for name, value in vars(module).items():
            if name.startswith("decode") and name not in BODIES:
                assert value in decoded, f"{module.__name__}.{name}"
    assert [name for name in vars(peer) if name.startswith("decode")] == ["decode", "decode_all"]


def test_every_message_of_the_wire_is_a_sample() -> None:
    unions = (
        actor.ToActor, actor.FromActor, zygote.ToZygote, zygote.FromZygote, peer.PeerMessage,
        client.Answer,
    )
    for union in unions:
        kinds = set(union.__args__)
        decoder = next(
            one for one in DECODERS
            if one.encode is not None and one.reads and one.reads[0].startswith("runtime/wire/")
            and type(one.decode(one.samples[0])) in kinds
        )
        assert {type(decoder.decode(sample)) for sample in decoder.samples} == kinds
    requests = next(one for one in DECODERS if one.name == "requests of clients")
    assert {type(requests.decode(sample).command) for sample in requests.samples} == set(
        client.Command.__args__
    )
