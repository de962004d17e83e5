"""Random faults in a row on one run lose and double nothing. The long series is `benchmarks/slurm_campaign.py`."""

from pathlib import Path

import pytest

from benchmarks.slurm_campaign import Campaign
from tests.slurm import Slurm


@pytest.mark.slow
def test_random_faults_in_a_row(box: Slurm, tmp_path: Path) -> None:
    """After each fault every file is the local run's, and at the end all are there; the time limit has its own test."""
    campaign = Campaign(box, tmp_path, tasks=7, documents=3_000, seed=2)
    del campaign.kinds["time limit"]
    kinds = campaign.series(len(campaign.kinds))
    faults = campaign.play(kinds)
    assert sorted(fault.kind for fault in faults) == sorted(campaign.kinds)
    assert [fault for fault in faults if fault.wrong] == []
    assert campaign.launches >= 2
