"""Who is paired with this host, and as what: invitations, joins, roles, and the end of a pairing.

Every change is on disk before anybody hears of it; rights that are taken are gone at once. What a role
allows is decided elsewhere (``permits``), and so is what becomes of hand-offs with a host that is revoked.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
import zmq

from sojourn.hosts.peers.joining import Joining
from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.peers.links import PairRequested
from sojourn.hosts.peers.protocol import Links
from sojourn.hosts.peers.tokens import make_invite, read_token
from sojourn.hosts.supervisor.core import Asker, Core
from sojourn.runtime.document_format import rfc3339
from sojourn.runtime.errors import AccessDenied, NotFound, Refused, SojournError, UsageError
from sojourn.runtime.job import InviteRow, Ownership, PeerRow
from sojourn.runtime.roles import Role
from sojourn.runtime.wire.client import Invite, Join, Revoke, SetRole
from sojourn.runtime.wire.peer import Hello, Pair, Paired, PairRefused

NAMED_AT_ONCE = 5
"""Jobs that a sentence names."""


class Answers(Protocol):
    """What is needed of the desk."""

    def reply(self, asker: Asker, body: dict[str, Any]) -> None: ...  # noqa: D102
    def fail(self, asker: Asker, error: SojournError) -> None: ...  # noqa: D102


class Ties(Protocol):
    """What goes on with a host, besides being paired with it."""

    def in_doubt_with(self, peer: str) -> list[str]:
        """Name the jobs about which only a host can say where they are."""
        ...

    def part_with(self, peer: str, why: str) -> None:
        """End what is under way with a host and isn't in doubt."""
        ...


class Pairing:
    """All paired hosts, and those that were.

    Args:
        core: shared state.
        links: connections to them.
        keys: this host's.
        invitations: used ones included.
        rows: every host that was ever paired.
        answers: tells those who asked.
        context: of sockets.
    """

    def __init__(
        self, core: Core, links: Links, keys: Keys, invitations: dict[str, InviteRow],
        rows: list[PeerRow], answers: Answers, context: zmq.Context[zmq.Socket[bytes]],
    ) -> None:
        self._core = core
        self._links = links
        self._keys = keys
        self._invitations = invitations
        self._answers = answers
        self._context = context
        self._revoked = {row.name: row for row in rows if row.revoked_at is not None}
        self._joining: list[tuple[Asker, Joining]] = []
        self._pairings: list[tuple[bytes, Paired]] = []
        """Answers to hosts that paired, sent once the pairing is on disk."""
        self._changed: list[PeerRow] = []
        """Hosts whose role or pairing changed with the round under way."""
        self.ties: Ties | None = None

    # --- the supervisor's interface -------------------------------------------------------------

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Give the sockets to poll."""
        return [socket for _, joining in self._joining for socket in joining.sockets()]

    def deadlines(self) -> list[float]:
        """Give the monotonic times at which ``receive`` has something to do."""
        return [joining.deadline for _, joining in self._joining]

    def receive(self) -> None:
        """Follow the joins that are under way."""
        for asker, joining in list(self._joining):
            outcome = joining.receive(self._core.now.monotonic)
            if outcome is not None:
                self._joining.remove((asker, joining))
                joining.close()
                self._joined(asker, joining, outcome)

    def after_commit(self) -> None:
        """What changed is on disk: those whom it concerns hear of it."""
        pairings, self._pairings = self._pairings, []
        for route, answer in pairings:
            self._links.answer_pair(route, answer)
        changed, self._changed = self._changed, []
        for row in changed:
            if row.revoked_at is None:
                self._links.tell_role(row.name)
            elif row.name in self._revoked:
                self._links.remove_peer(
                    row.name,
                    f"host {self._core.host!r} revoked this pairing with `sojourn peers revoke`: to pair "
                    "again, ask there for a new `sojourn invite`",
                )

    def close(self) -> None:
        """Give up the joins that are under way."""
        for _, joining in self._joining:
            joining.close()

    # --- who is what ------------------------------------------------------------------------------

    def role_of(self, name: str) -> Role | None:
        """Give a host's role here; None if it isn't paired."""
        row = self._links.peer(name)
        return None if row is None or name in self._revoked else row.role

    def rows(self) -> list[PeerRow]:
        """Give the paired hosts."""
        return [row for row in self._links.peers() if row.name not in self._revoked]

    def names(self) -> set[str]:
        """Name the paired hosts."""
        return {row.name for row in self.rows()}

    def require(self, name: str) -> PeerRow:
        """Give a paired host.

        Raises:
            NotFound: if there is none of that name.
        """
        row = self._links.peer(name)
        if row is not None and name not in self._revoked:
            return row
        host = self._core.host
        if name in self._revoked:
            raise NotFound(
                f"host {host!r} revoked its peer {name!r}: pair them anew with `sojourn invite` and "
                "`sojourn join`"
            )
        known = ", ".join(sorted(self.names())) or "none"
        raise NotFound(
            f"host {host!r} has no peer {name!r} (it has {known}): pair them with `sojourn invite` and "
            "`sojourn join`"
        )

    def heard(self, name: str, hello: Hello) -> None:
        """A host said HELLO: remember what of it has changed."""
        row = self._links.peer(name)
        if row is None or name in self._revoked:
            return
        seen = (hello.store_id, hello.incarnation, hello.run)
        if seen == (row.store_id, row.incarnation, row.run) and hello.address in (None, row.address):
            return
        self._put(msgspec.structs.replace(
            row, address=hello.address or row.address, store_id=hello.store_id,
            incarnation=hello.incarnation, run=hello.run,
        ))

    def describe(self, row: PeerRow, refused: int) -> dict[str, Any]:
        """Describe a paired host; ``refused`` counts what its role didn't allow."""
        links = self._links
        connected = links.connected(row.name)
        why = links.refused_by(row.name)
        hello = links.hello_of(row.name)
        return {
            "name": row.name, "address": row.address,
            "state": "connected" if connected else "refused" if why else "not connected",
            "connected": connected, "role": row.role.value, "granted": row.granted or "pairing",
            "role_there": (hello.your_role or None) if hello is not None and not why else None,
            "why": why or None,
            "refused": refused + links.refusals_of(row.name), "store_id": row.store_id,
        }

    def _put(self, row: PeerRow) -> None:
        """Remember a paired host."""
        self._core.round.writes.peers_put.append(row)
        self._links.add_peer(row)

    # --- invitations ------------------------------------------------------------------------------

    def invite(self, asker: Asker, command: Invite) -> None:
        """Make an invitation."""
        core = self._core
        if self._links.address is None:
            raise Refused(
                f"host {core.host!r} listens on no address: start it with "
                "--listen tcp://HOST:PORT, or invite from the other host"
            )
        expires = core.now.wall + command.seconds
        token, row = make_invite(core.host, self._links.address, self._keys.public, expires)
        row.role = command.role
        self._remember(row)
        self._answers.reply(asker, {"token": token, "expires_at": rfc3339(expires)})

    def _remember(self, row: InviteRow) -> None:
        self._invitations[row.public_key] = row
        self._core.round.writes.invites_put.append(row)
        self._links.add_invite(row)

    def requested(self, event: PairRequested) -> None:
        """Someone used an invitation."""
        core = self._core
        pair = event.pair
        invite = self._invitations[event.invite_key]
        problem = self._against_pairing(invite, pair)
        if problem is not None:
            core.log.warning("refused", kind="pairing", detail=f"{pair.host}: {problem}")
            self._links.answer_pair(event.route, PairRefused(AccessDenied.__name__, problem))
            return
        if invite.used_by is None:  # else it asks again since the answer was lost, and nothing changes
            before = self._links.peer(pair.host)
            kept = before.role if before is not None else Role.OPERATOR
            row = PeerRow(
                pair.host, pair.public_key, pair.address, pair.store_id, core.now.wall,
                role=invite.role or kept, granted="invite",
            )
            self._revoked.pop(row.name, None)
            self._put(row)
            self._remember(msgspec.structs.replace(invite, used_by=pair.public_key))
            core.log.info("paired", peer=pair.host, address=pair.address, role=row.role.value)
        self._pairings.append(
            (event.route, Paired(core.host, self._keys.public, self._links.address, core.store.store_id))
        )

    def _against_pairing(self, invite: InviteRow, pair: Pair) -> str | None:
        host = self._core.host
        if invite.void:
            return f"{invite.void}: ask for a new one with `sojourn invite`"
        if invite.used_by is not None and invite.used_by != pair.public_key:
            return "this invitation was used already: ask for a new one with `sojourn invite`"
        if invite.used_by is None and invite.expires_at < self._core.now.wall:
            return "this invitation is over: ask for a new one with `sojourn invite`"
        if pair.host == host or pair.public_key == self._keys.public:
            return f"a host can't pair with itself or with another named {host!r}: choose names with --name"
        return self._against_name(pair.host, pair.public_key)

    def _against_name(self, name: str, key: str) -> str | None:
        """Say what speaks against a name for a key."""
        host = self._core.host
        for row in self._links.peers():
            if row.name in self._revoked or (row.name == name) == (row.public_key == key):
                continue
            if row.name == name:
                return (
                    f"host {host!r} has a peer named {name!r} with another key already: start the new one "
                    f"with another --name, or end the old pairing with `sojourn peers revoke {name}` there"
                )
            return (
                f"host {host!r} knows this key as host {row.name!r}: start it under its old name, or end "
                f"that pairing with `sojourn peers revoke {row.name}` there"
            )
        return None

    # --- joining ------------------------------------------------------------------------------------

    def join(self, asker: Asker, command: Join) -> None:
        """Use an invitation."""
        token = read_token(command.token)
        core = self._core
        if token.expires_at < core.now.wall:
            raise AccessDenied(
                f"the token of host {token.host!r} is over: ask for a new one with `sojourn invite`"
            )
        if token.server_key == self._keys.public:
            raise UsageError("this token is this host's own: use it on the other host")
        problem = self._against_name(token.host, token.server_key)
        if problem is not None:
            raise AccessDenied(problem)
        pair = Pair(core.host, self._keys.public, self._links.address, core.store.store_id)
        joining = Joining(self._context, token, pair, core.now.monotonic, command.role)
        self._joining.append((asker, joining))

    def _joined(self, asker: Asker, joining: Joining, outcome: Paired | SojournError) -> None:
        if isinstance(outcome, SojournError):
            self._answers.fail(asker, outcome)
            return
        core = self._core
        token = joining.token
        problem = self._against_name(outcome.host, token.server_key)
        if problem is not None:
            self._answers.fail(asker, AccessDenied(problem))
            return
        before = self._links.peer(outcome.host) if outcome.host not in self._revoked else None
        kept = before.role if before is not None else Role.OPERATOR
        row = PeerRow(
            outcome.host, token.server_key, outcome.address or token.address, outcome.store_id,
            core.now.wall, role=joining.role or kept, granted="join",
        )
        self._revoked.pop(row.name, None)
        self._put(row)
        self._links.try_again(row.name)
        core.log.info("paired", peer=row.name, address=row.address, role=row.role.value)
        self._answers.reply(
            asker, {"name": row.name, "address": row.address, "role": row.role.value}
        )

    # --- changes ------------------------------------------------------------------------------------

    def set_role(self, asker: Asker, command: SetRole) -> None:
        """Let a host do more or less from now on."""
        core = self._core
        row = msgspec.structs.replace(
            self.require(command.name), role=command.role, granted="peers role"
        )
        self._put(row)
        self._changed.append(row)
        core.log.warning("role changed", peer=row.name, role=row.role.value)
        self._answers.reply(asker, {"name": row.name, "role": row.role.value})

    def revoke(self, asker: Asker, command: Revoke) -> None:
        """End a pairing.

        Raises:
            NotFound: if there is no such peer.
            Refused: if a hand-off with it is in doubt, unless that is accepted.
        """
        core = self._core
        row = self.require(command.name)
        name = row.name
        in_doubt = sorted(self.ties.in_doubt_with(name)) if self.ties is not None else []
        if in_doubt and not command.force:
            raise Refused(
                f"host {core.host!r} doesn't revoke host {name!r} yet: only that host can say where job "
                f"{some(in_doubt)} is; `sojourn handoff show {in_doubt[0]}` tells more. With --force the "
                "pairing ends and the doubt stays: such a job runs nowhere until you end its doubt with "
                "`sojourn handoff resolve`, and twice if you end it wrongly"
            )
        row = msgspec.structs.replace(row, revoked_at=core.now.wall)
        self._revoked[name] = row
        core.round.writes.peers_put.append(row)
        self._changed.append(row)
        open_ = self._end_invitations(row)
        if self.ties is not None:
            self.ties.part_with(name, f"host {name!r} was revoked")
        jobs = sorted(
            head.job_id for _, head in core.store.heads()
            if head.ownership is Ownership.GONE and head.moved_to == name
        )
        core.log.warning("peer revoked", peer=name, key=row.public_key, in_doubt=in_doubt)
        self._answers.reply(
            asker, {"name": name, "jobs": jobs, "in_doubt": in_doubt, "invitations": open_}
        )

    def _end_invitations(self, revoked: PeerRow) -> int:
        """End the invitations that a host used or may hold: whom an open one was given to, nobody knows.

        Returns:
            How many were open.
        """
        open_ = 0
        for invite in list(self._invitations.values()):
            if invite.void or invite.used_by not in (None, revoked.public_key):
                continue
            open_ += invite.used_by is None and invite.expires_at >= self._core.now.wall
            self._remember(msgspec.structs.replace(
                invite, void=f"this invitation ended when host {revoked.name!r} was revoked"
            ))
        return open_


def some(names: list[str]) -> str:
    """Name the first of many."""
    more = f" and {len(names) - NAMED_AT_ONCE} more" if len(names) > NAMED_AT_ONCE else ""
    return ", ".join(names[:NAMED_AT_ONCE]) + more
