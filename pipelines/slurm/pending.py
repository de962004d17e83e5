"""Why a job waits, in words and with what helps. Slurm's codes are those of squeue(1), JOB REASON CODES.

Gives up: codes that explain themselves, and those of plugins; they are shown as they are.
"""

_MEANINGS = {
    "None": "not looked at yet",
    "Resources": "waits for CPUs or memory to become free",
    "Priority": "others go first",
    "BeginTime": "was put back into the queue, starts in a moment",
    "Dependency": "waits for other jobs",
    "DependencyNeverSatisfied": "waits for a job that will not come; smoltrove cancel, and the same command again",
    "JobHeldUser": "held; scontrol release lets it go",
    "JobHeldAdmin": "held by an administrator; ask them",
    "JobArrayTaskLimit": "as many of the array run as may",
    "Licenses": "waits for a licence",
    "Reservation": "waits for its reservation to begin",
    "ReqNodeNotAvail": "nodes that it asks for are reserved, down or drained; see sinfo",
    "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions":
        "nodes of the partition are down, drained or reserved; see sinfo",
    "NodeDown": "a node that it asks for is down; see sinfo",
    "BadConstraints": "no node fits its --sbatch options; smoltrove cancel, other options",
    "PartitionDown": "the partition takes no jobs now",
    "PartitionInactive": "the partition starts no jobs now",
    "PartitionNodeLimit": "asks for more nodes than the partition allows",
    "PartitionTimeLimit": "asks for more time than the partition allows; smoltrove cancel, lower --time",
    "launch_failed_requeued_held": "its node could not start it; scontrol release after the node is mended",
    "QOSMaxCpuPerUserLimit": "you use as many CPUs as your quality of service allows",
    "QOSMaxJobsPerUserLimit": "as many of your jobs run as your quality of service allows",
    "QOSMaxSubmitJobPerUserLimit": "you have as many jobs queued as your quality of service allows",
    "QOSGrpCpuLimit": "the quality of service's CPUs are all in use",
    "AssocMaxJobsLimit": "as many of the account's jobs run as may",
    "AssocGrpCpuLimit": "the account's CPUs are all in use",
    "AssocGrpCPUMinutesLimit": "the account's CPU minutes are used up; another --account, or ask for more",
    "AssocGrpBillingMinutes": "the account's budget is used up; another --account, or ask for more",
    "InvalidAccount": "the account is not valid; smoltrove cancel, another --account",
    "InvalidQOS": "the quality of service is not valid; smoltrove cancel, another --qos",
}  # fmt: skip


def meaning(reason: str) -> str:
    """What a code means, "" for one that is not known. squeue adds details behind a comma, and blanks for lines."""
    code = reason.strip("()").replace(" ", "_")
    return _MEANINGS.get(code) or _MEANINGS.get(code.partition(",")[0], "")
