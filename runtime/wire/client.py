"""Messages between a client (command line, Python) and a supervisor, and their relay between hosts.

One request, then any number of Progress, then one Reply or Failure under the same request number.
Bodies of replies are JSON documents, so that ``-o json`` prints what travelled.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from sojourn.runtime.job import Priority
from sojourn.runtime.roles import Role
from sojourn.runtime.wire.bounds import LONGEST_SECONDS as LONGEST_SECONDS
from sojourn.runtime.wire.bounds import Count, Milliseconds, Seconds, Sequence
from sojourn.runtime.wire.decoding import FrameDecoder
from sojourn.runtime.wire.whole_hosts import Cordon, Drain, MigrateMany

LARGEST_REQUEST = 256 * 1024 * 1024
"""Bytes of a request; a supervisor hangs up on a larger one without a word."""


class Submit(msgspec.Struct, tag="submit"):
    """Start jobs of one flow, given as a locator ``MODULE:ATTR`` or as an encoded FlowSpec.

    ``inputs`` are encoded fields for the entry's slot ``input``; ``job_ids`` has the same length.
    Reply: ``{"job_ids": [...]}``. Progress: ``{"waiting": sentence}`` while too many wait already.
    """

    locator: str | None
    flow: bytes | None
    inputs: list[bytes]
    job_ids: list[str | None]
    priority: Priority = 0


class Jobs(msgspec.Struct, tag="jobs"):
    """List jobs.

    Reply: ``{"jobs": [{job_id, flow_id, status, reason, epoch, host, moved_to, created_at}], "host",
    "cordoned"}``.
    """


class Show(msgspec.Struct, tag="show"):
    """Give the job's document: ``history`` entries after sequence ``after``, ``pending`` messages at most.

    ``after`` None means the last entries. ``follow`` asks the job's owner, where it moved away; else the
    document is what was kept of it. Reply: the document.
    """

    job: str
    history: Count = 100
    after: Sequence | None = None
    pending: Count = 100
    follow: bool = False


class Wait(msgspec.Struct, tag="wait"):
    """Wait until the jobs ended or, for one job, a condition holds. ``timeout`` in seconds.

    Reply: ``{"jobs": [document, …], "held", "at"}`` in the order asked; WaitTimedOut as failure. Of many
    jobs, the first documents come before it, as Progress of that form; ``at`` is the number of jobs before
    the first of its own. ``follow`` asks for Progress ``{"job_id", "status", "host", "event"}`` at every
    change of status and every history entry.
    """

    jobs: list[str]
    until: str | None = None
    timeout: Seconds | None = None
    follow: bool = False


class Logs(msgspec.Struct, tag="logs"):
    """Give what the job's routines printed.

    Progress: ``{"lines": [...]}``; with ``follow`` until the job ends.
    """

    job: str
    follow: bool = False
    after: Sequence = 0


class Pause(msgspec.Struct, tag="pause"):
    """Start no new turn of the job. Reply: ``{"job_id", "status"}`` once none is in flight."""

    job: str


class Resume(msgspec.Struct, tag="resume"):
    """Lift a pause, or with ``data`` (encoded fields) answer an open question."""

    job: str
    data: bytes | None = None
    question: str | None = None


class Cancel(msgspec.Struct, tag="cancel"):
    """Cancel the job. Reply once it is."""

    job: str


class Retry(msgspec.Struct, tag="retry"):
    """Give failed messages a fresh budget; take a blocked job up again."""

    job: str


class Forget(msgspec.Struct, tag="forget"):
    """Delete a finished job; a tombstone stays."""

    job: str


class Migrate(msgspec.Struct, tag="migrate"):
    """Move a job; ``to`` None sends it back to where it came from.

    Progress: ``{"phase", "bytes", "total_bytes"}``; reply: an entry of ``handoffs`` with ``job_id``.
    """

    job: str
    to: str | None
    grace: Seconds | None = None
    allow_code_drift: bool = False
    max_downtime_ms: Milliseconds | None = None


class DryRun(msgspec.Struct, tag="dry_run"):
    """Say what would speak against moving a job, and what it would cost; nothing moves.

    ``to`` None means where it came from. Reply: as of ``runtime.handoff.dry_run.survey_document``.
    """

    job: str
    to: str | None
    grace: Seconds | None = None
    allow_code_drift: bool = False
    max_downtime_ms: Milliseconds | None = None


class Export(msgspec.Struct, tag="export"):
    """Give the whole job as a file's document.

    With ``release_to`` the job's supervisor writes ``path`` itself (absolute, fsynced), then lets it go.
    Reply: ``{"document": …}`` without, ``{"job_id", "to", "path", "epoch", "host"}`` with it: ``host``
    wrote the file.
    """

    job: str
    path: str | None = None
    release_to: str | None = None


class Import(msgspec.Struct, tag="import"):
    """Take a job from a file's content (JSON bytes). Reply: ``{"job_id", "epoch", "status"}``."""

    document: bytes


class Invite(msgspec.Struct, tag="invite"):
    """Make an invitation, valid for ``seconds``. Reply: ``{"token", "expires_at"}``.

    ``role`` is what the host that uses it may do here; None for what it may already, or else everything.
    """

    seconds: Seconds = 3600.0
    role: Role | None = None


class Join(msgspec.Struct, tag="join"):
    """Pair with the host that gave the token. Reply: ``{"name", "address", "role"}`` of it.

    ``role`` is what that host may do here; None as for ``Invite``.
    """

    token: str
    role: Role | None = None


class Peers(msgspec.Struct, tag="peers"):
    """List paired hosts.

    Reply: ``{"peers": [{name, address, state, connected, cordoned, role, granted, role_there, why,
    refused, store_id}]}``. ``state`` is ``connected``, ``not connected`` or ``refused`` (by it: ``why``
    says more); ``cordoned`` is null while it isn't known; ``role`` is what it may do here, ``granted`` the
    command that said so; ``role_there`` is what this host may do there, as far as it told; ``refused``
    counts what was refused of it since this supervisor began.
    """


class SetRole(msgspec.Struct, tag="set_role"):
    """Let a paired host do more or less from now on. Reply: ``{"name", "role"}``."""

    name: str
    role: Role


class Revoke(msgspec.Struct, tag="revoke"):
    """End the pairing with a host: its key is refused from now on.

    ``force`` though a hand-off with it is in doubt. Reply: ``{"name", "jobs", "in_doubt", "invitations"}``:
    ids of jobs that are there and of those in doubt, and how many open invitations ended with it.
    """

    name: str
    force: bool = False


class Handoffs(msgspec.Struct, tag="handoffs"):
    """List the hand-offs that are under way or in doubt; with ``job`` those of one job, ended ones too.

    Reply: ``{"handoffs": [{m, job_id, role, state, peer, epoch, connected, in_doubt, owner, why,
    command}]}``.
    """

    job: str | None = None


class Resolve(msgspec.Struct, tag="resolve"):
    """End a doubt by force: ``how`` is ``accept`` (the job is here) or ``reclaim`` (it is here again).

    Reply: ``{"job_id", "epoch", "host", "asked", "unreachable"}``.
    """

    job: str
    how: str


class Status(msgspec.Struct, tag="status"):
    """Describe this host.

    Reply: ``{"host", "store_id", "pid", "version", "listen", "home", "cordoned", "processes": [...]}``.
    """


class Down(msgspec.Struct, tag="down"):
    """Stop the supervisor cleanly. Reply: ``{}``, then it goes."""


Command = (
    Submit | Jobs | Show | Wait | Logs | Pause | Resume | Cancel | Retry | Forget | Migrate | DryRun
    | Export | Import | Invite | Join | Peers | SetRole | Revoke | Handoffs | Resolve | Status | Down
    | MigrateMany | Cordon | Drain
)


class Request(msgspec.Struct, array_like=True):
    """A command on its way.

    Attributes:
        request: number, unique per connection.
        command_id: UUID; a command that is sent again under the same id is applied once.
        host: name of the host that shall do it; None for the one asked.
        command: what to do.
    """

    request: int
    command_id: str
    host: str | None
    command: Command


class Progress(msgspec.Struct, array_like=True, tag=0):
    """News of a request that goes on; ``body`` is JSON."""

    request: int
    body: bytes


class Reply(msgspec.Struct, array_like=True, tag=1):
    """A request was done; ``body`` is JSON."""

    request: int
    body: bytes


class Failure(msgspec.Struct, array_like=True, tag=2):
    """A request failed: (kind, message) as of ``errors.to_wire``."""

    request: int
    kind: str
    message: str


Answer = Progress | Reply | Failure


class _Line(msgspec.Struct):
    seq: Sequence


class _Lines(msgspec.Struct):
    lines: list[_Line] = []


class Waited(msgspec.Struct):
    """Body of the reply to Wait, which may be its last part."""

    jobs: list[dict[str, Any]]
    held: bool
    at: Count = 0


class Documents(msgspec.Struct):
    """The documents in a part of the answer to Wait, each as its text; the first is that of job ``at``."""

    jobs: list[msgspec.Raw]
    at: Count = 0


class Moved(msgspec.Struct, rename={"source": "from", "target": "to"}):
    """Body of the reply to Migrate, as far as others reckon with it."""

    job_id: str
    source: str
    target: str
    epoch: int
    bytes: int


def after_news(request: Request, news: dict[str, Any]) -> Request:
    """Give the request that would go on after these news, should it have to be sent again.

    Raises:
        msgspec.DecodeError: if they are none of such a request.
    """
    command = request.command
    if not isinstance(command, Logs):
        return request
    lines = msgspec.convert(news, _Lines).lines
    if not lines:
        return request
    return msgspec.structs.replace(
        request, command=msgspec.structs.replace(command, after=lines[-1].seq)
    )


def after_waiting(request: Request, waited: float) -> Request:
    """Give the request to send again after so many seconds."""
    command = request.command
    if isinstance(command, Wait) and command.timeout is not None:
        left = max(0.0, command.timeout - waited)
        return msgspec.structs.replace(
            request, command=msgspec.structs.replace(command, timeout=left)
        )
    return request


_ENCODER = msgspec.msgpack.Encoder()
_REQUEST: FrameDecoder[Request] = FrameDecoder(msgspec.msgpack.Decoder(Request))
_ANSWER: FrameDecoder[Answer] = FrameDecoder(msgspec.msgpack.Decoder(Answer))
_BODY = FrameDecoder(msgspec.json.Decoder(dict[str, Any]))
_DOCUMENTS = FrameDecoder(msgspec.json.Decoder(Documents))


def encode(message: Request | Answer) -> bytes:
    """Encode a message of either direction."""
    return _ENCODER.encode(message)


def decode_request(frame: bytes | memoryview) -> Request:
    """Decode what a client sent.

    Raises:
        msgspec.DecodeError: if it is no request.
    """
    return _REQUEST.decode(frame)


def decode_answer(frame: bytes | memoryview) -> Answer:
    """Decode what a supervisor answered.

    Raises:
        msgspec.DecodeError: if it is no answer.
    """
    return _ANSWER.decode(frame)


def decode_body(body: bytes) -> dict[str, Any]:
    """Read the body of a reply or of news.

    Raises:
        msgspec.DecodeError: if it is no JSON object.
    """
    return _BODY.decode(body)


def check_reply(command: Command, reply: Reply) -> None:
    """Check that a reply of another host is one to a command: what asks for it here reckons with its body.

    Raises:
        msgspec.DecodeError: if it isn't.
    """
    body = decode_body(reply.body)
    if isinstance(command, Wait):
        msgspec.convert(body, Waited)
    elif isinstance(command, Migrate):
        msgspec.convert(body, Moved)


def decode_waited(body: bytes) -> Waited:
    """Read the body of the reply to Wait.

    Raises:
        msgspec.DecodeError: if it is none.
    """
    return msgspec.convert(decode_body(body), Waited)


def encode_body(body: dict[str, Any]) -> bytes:
    """Write the body of a reply or of news."""
    try:
        return msgspec.json.encode(body)
    except (UnicodeEncodeError, OverflowError):  # JSON has a way to write it
        return json.dumps(body).encode()


def join_documents(documents: list[bytes], at: int, *, held: bool) -> bytes:
    """Write the body of a part of the answer to Wait.

    Args:
        documents: as JSON text.
        at: which of the jobs asked for the first is of, from 0.
        held: whether the condition held.
    """
    return b'{"at":%d,"held":%s,"jobs":[%s]}' % (
        at, b"true" if held else b"false", b",".join(documents)
    )


def decode_documents(body: bytes) -> Documents:
    """Read the body of a part of the answer to Wait, the documents in it aside.

    Raises:
        msgspec.DecodeError: if it is none.
    """
    return _DOCUMENTS.decode(body)
