"""Why a job waits, and why it ended: Slurm's words in plain sentences, with what can be done."""

from __future__ import annotations

import re
from collections.abc import Mapping

WAITS: Mapping[str, str] = {
    "Priority": "other jobs are before it in the queue; fewer nodes or a shorter --time may be fitted in between",
    "Resources": "it is next, and waits for nodes to become free",
    "None": "Slurm has not looked at it yet",
    "WaitingForScheduling": "Slurm has not looked at it yet",
    "BeginTime": "held until a set time; after a requeue Slurm holds a job for about two minutes",
    "Cleaning": "it is being requeued: what its last attempt left on the nodes is cleaned up",
    "Prolog": "its nodes are being prepared",
    "Dependency": "it waits for the jobs named by --dependency",
    "DependencyNeverSatisfied": "a job it depends on failed or is gone, so it will never start; cancel it, and submit again",
    "JobArrayTaskLimit": "as many elements run as --throttle allows",
    "JobHeldUser": "it is held; `scontrol release JOB` lets it go",
    "JobHeldAdmin": "an administrator holds it, or it could not be started several times; ask them",
    "JobLaunchFailure": "it could not be started on its nodes; see the log in the order's folder, and tell the administrators",
    "PartitionTimeLimit": "its time limit is longer than the partition allows; submit with a shorter --time (`sinfo -o '%P %l'`)",
    "PartitionNodeLimit": "it asks for more nodes than the partition has or gives; submit with fewer --nodes, or another partition",
    "PartitionConfig": "it asks for more nodes or time than the partition allows; submit with less (`scontrol show partition`)",
    "PartitionDown": "the partition is down; wait, or choose another in the site file",
    "PartitionInactive": "the partition starts no jobs now; wait, or choose another in the site file",
    "ReqNodeNotAvail": "nodes it needs are down, drained or reserved (perhaps for a maintenance: a shorter --time may fit before it)",
    "NodeDown": "a node it needs is down",
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions":
        "the nodes it needs are down, drained, or taken by a partition of higher priority",
    "Reservation": "its reservation has not begun",
    "ReservationDeleted": "its reservation is gone; submit without it",
    "BadConstraints": "no node has what it asks for; see constraint, gpu_type and memory_per_node in the site file",
    "Licenses": "it waits for a licence",
    "InvalidAccount": "the account may not be used here; set account in the site file (`sacctmgr show assoc user=$USER`)",
    "InvalidQOS": "the QOS may not be used here; set qos in the site file",
    "AccountNotAllowed": "the account may not use this partition; set account or partition in the site file",
    "QOSNotAllowed": "the QOS may not be used in this partition; set qos or partition in the site file",
    "QOSUsageThreshold": "the QOS has used up its share for now; wait, or choose another in the site file",
    "AssocMaxJobsLimit": "as many jobs of yours run as your account allows; it starts when one ends",
    "MaxJobsPerAccount": "as many jobs run as the account allows; it starts when one ends",
    "FrontEndDown": "no front end node is up",
    "SystemFailure": "Slurm or its file system failed; tell the administrators",
    "launch failed requeued held": "it could not be started, and is held; `scontrol release JOB` tries again",
    "job requeued in held state": "it was requeued and is held; `scontrol release JOB` lets it go",
    "InactiveLimit": "it was inactive for longer than the cluster allows",
    "TimeLimit": "it reached its time limit",
    "NonZeroExitCode": "the program ended with an error; see its log",
}  # fmt: skip
PATTERNS: Mapping[str, str] = {
    r"QOSMax\w*PerUser\w*|QOSMax\w*PU\w*|QOSJobLimit|MaxJobsPerUser\w*":
        "you have as much running as the QOS allows a user; it starts when something of yours ends",
    r"QOSMax\w+|QOSMin\w+|QOSTimeLimit": "it asks for more than the QOS allows one job; ask for less, or choose another QOS",
    r"QOSGrp\w+|QOSResourceLimit": "everybody in this QOS together has reached its limit; it starts when some of that ends",
    r"AssocMax\w+|Association\w*TimeLimit": "it asks for more than your account allows one job; ask for less, or use another account",
    r"AssocGrp\w+|Association\w+": "your account has reached its limit; it starts when some of that ends (or the budget is renewed)",
    r"MaxGRESPerAccount\w*|Max\w+PerAccount": "your account has as much running as it may; it starts when some of that ends",
    r"RaisedSignal:.*": "the program was ended by a signal; see its log",
    r"BurstBuffer\w+": "its burst buffer is being prepared, or cannot be had",
}  # fmt: skip
ENDS: Mapping[str, str] = {
    "TIMEOUT": "it ran into its time limit before it had saved and requeued itself; `w2s submit` again goes on, with a longer grace",
    "NODE_FAIL": "a node failed and the job was not requeued; `w2s submit` again goes on",
    "OUT_OF_MEMORY": "it used more memory than it was given; ask for more with --mem, or use a smaller micro-batch",
    "PREEMPTED": "a job of higher priority took its nodes and it was not requeued; `w2s submit` again goes on",
    "BOOT_FAIL": "its nodes did not boot; `w2s submit` again tries others",
    "LAUNCH_FAILED": "it could not be started on its nodes; tell the administrators",
    "DEADLINE": "it could not end before its deadline",
    "REVOKED": "another cluster of the federation runs it",
}


def explain(reason: str) -> str:
    """Slurm's reason in a plain sentence with what to do about it, after Slurm's own word: `Priority: other jobs ...`.

    A reason may carry details (`ReqNodeNotAvail, UnavailableNodes:w2`), which stay. One that we do not know stands for itself.
    """
    reason = reason.strip().strip("()").replace(",_", ", ")
    if reason in WAITS:
        return f"{reason}: {WAITS[reason]}"
    name = re.split(r"[,:( ]", reason, maxsplit=1)[0]
    for pattern, sentence in PATTERNS.items():
        if re.fullmatch(pattern, reason) or re.fullmatch(pattern, name):
            return f"{reason}: {sentence}"
    return f"{reason}: {WAITS[name]}" if name in WAITS else reason


def explain_end(told: str, reason: str, exit_code: int | None) -> str:
    """Why a job is over, from its state (TIMEOUT, `CANCELLED by 0`), Slurm's reason and its exit code. "" when all went well."""
    name = told.split(" ", 1)[0].rstrip("+")
    if name in ENDS:
        return f"{name}: {ENDS[name]}"
    if name == "FAILED":
        code = f"exit code {exit_code}" if exit_code is not None else "failed"
        return code if reason in ("", "None", "NonZeroExitCode") else f"{code}; {explain(reason)}"
    return told if told.startswith("CANCELLED by") else ""
