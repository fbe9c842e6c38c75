"""What the key of another host may do here: its role, and the table of what each role may ask for.

A role is given per key by the host that is asked, and holds for that host alone. Whether a message is well
formed, whose job it is about and how a refusal is counted is decided elsewhere; nothing is refused here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """What a paired host is to this one; each can do what the one before it can."""

    VIEWER = "viewer"
    """Looks at jobs, and at what is under way."""
    PEER = "peer"
    """Hands jobs over, either way, and acts on those that it has had itself."""
    OPERATOR = "operator"
    """Acts on every job, and on the host, but not on who is paired with it."""

    def includes(self, other: Role) -> bool:
        """Tell whether this role can do all that another one can."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Right(NamedTuple):
    """Who may ask for something from another host.

    Attributes:
        any_job: the least role that may; None where no role may: it is asked for on the host itself.
        own_job: the least role that may for a job which its host has itself had.
    """

    any_job: Role | None
    own_job: Role | None = None


LOOK = Right(Role.VIEWER)
ACT_ON_A_JOB = Right(Role.OPERATOR, own_job=Role.PEER)
ACT_ON_THE_HOST = Right(Role.OPERATOR)
HERE_ONLY = Right(None)

COMMANDS: dict[str, Right] = {
    "Jobs": LOOK, "Show": LOOK, "Wait": LOOK, "Logs": LOOK, "Peers": LOOK, "Handoffs": LOOK, "Status": LOOK,
    "Pause": ACT_ON_A_JOB, "Resume": ACT_ON_A_JOB, "Cancel": ACT_ON_A_JOB, "Retry": ACT_ON_A_JOB,
    "Forget": ACT_ON_A_JOB, "Migrate": ACT_ON_A_JOB, "DryRun": ACT_ON_A_JOB, "Export": ACT_ON_A_JOB,
    "Submit": ACT_ON_A_JOB, "MigrateMany": ACT_ON_A_JOB,
    "Import": ACT_ON_THE_HOST, "Resolve": ACT_ON_THE_HOST, "Down": ACT_ON_THE_HOST,
    "Cordon": ACT_ON_THE_HOST, "Drain": ACT_ON_THE_HOST,
    "Invite": HERE_ONLY, "Join": HERE_ONLY, "SetRole": HERE_ONLY, "Revoke": HERE_ONLY,
}
"""Name of a command → who may relay it. A submit under the id of a job of its own starts nothing."""


class Hearing(StrEnum):
    """When a message of a paired host is heard."""

    ALWAYS = "from every role"
    COMMAND = "by the command in it"
    BEGINS = "from `peer` and `operator`"
    GOES_ON = "from every role, within what this host asked for or a hand-off that began"
    BETWEEN = "from every role, about jobs that went between the two hosts; from `peer` about every job"
    INVITED = "under an invitation's key alone"


MESSAGES: dict[str, Hearing] = {
    **dict.fromkeys(
        ("Hello", "HelloRefused", "Rejected", "Asking", "RelayDropped", "Cordoned"), Hearing.ALWAYS
    ),
    "RelayRequest": Hearing.COMMAND,
    "Preflight": Hearing.BEGINS,
    "Survey": Hearing.BEGINS,
    "Claims": Hearing.BETWEEN,
    **dict.fromkeys(("Pair", "Paired", "PairRefused"), Hearing.INVITED),
    **dict.fromkeys(
        (
            "RelayAnswer", "RelayReturned", "Surveyed",
            "PreflightReady", "HandoffRefused", "Chunk", "Credit", "Waiting", "Offer", "Prepared", "Commit",
            "Ack", "Closed", "Superseded", "Unknown", "Abort", "Query", "ActorsStarted", "Measured",
        ),
        Hearing.GOES_ON,
    ),
}
"""Name of a message between hosts → when it is heard. Lowering a role ends no hand-off that began."""


def may(role: Role, command: str, *, own: bool) -> bool:
    """Tell whether a role may relay a command.

    Args:
        role: of the host that relays it.
        command: its name.
        own: whether it is about jobs that this host has itself had, and no others.
    """
    right = COMMANDS.get(command, HERE_ONLY)
    least = right.own_job if own and right.own_job is not None else right.any_job
    return least is not None and role.includes(least)


def may_hand_over(role: Role) -> bool:
    """Tell whether jobs may be handed over to or from a host of this role."""
    return role.includes(Role.PEER)


def may_claim(role: Role, *, between: bool, restored: bool) -> bool:
    """Tell whether what a host says of a job is believed.

    Args:
        role: of that host.
        between: whether the job went between the two hosts.
        restored: whether this host's store was put back from a copy, so that it can't know what went.
    """
    return between or restored or role.includes(Role.PEER)
