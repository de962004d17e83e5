"""Ranges say how sure a sample is: they hold its value, shrink with more documents, and are the same each time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import UserError
from pipelines.estimate.rates import rates_of, span
from pipelines.estimate.sample import SourceSample
from tests.pipelines.estimate.samples import made_sample


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.8])
def test_a_longer_sample_has_narrower_ranges(kept: float) -> None:
    """Sixteen times the documents: the ranges of cost and yield shrink to below a half (in theory a quarter), on the
    mean of samples; a single short one may have a narrow range by luck."""
    for name in ("work_seconds", "text_bytes", "kept"):
        shrunk = []
        for seed in range(10):
            small, large = (rates_of(made_sample(documents=n, seed=seed, kept=kept), seed=1) for n in (150, 2400))
            (_, low, high), (_, narrow_low, narrow_high) = span(getattr(small, name)), span(getattr(large, name))
            shrunk.append((narrow_high - narrow_low) / (high - low))
        assert sum(shrunk) / len(shrunk) < 0.5, name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 60))
def test_the_value_is_the_sample_and_replicates_stay_among_its_documents(seed: int, files: int, number: int) -> None:
    """Place 0 is the plain mean; no replicate leaves the span of the documents; the same seed gives the same."""
    sample = made_sample(documents=number, files=files, seed=seed)
    rates = rates_of(sample, seed=5)
    sizes = [document.text_bytes for document in sample.documents]
    assert rates.text_bytes[0] == pytest.approx(sum(sizes) / len(sizes))
    assert rates.kept[0] == pytest.approx(sample.kept / number)
    assert min(sizes) - 1e-6 <= rates.text_bytes.min() <= rates.text_bytes.max() <= max(sizes) + 1e-6
    assert np.array_equal(rates.work_seconds, rates_of(sample, seed=5).work_seconds)


def test_a_file_unlike_the_others_widens_the_range() -> None:
    """Files are drawn too: four files of which one keeps nothing are less sure than four that are alike."""
    alike = made_sample(documents=400, kept=0.75, seed=3)
    one_empty = SourceSample(
        source="a",
        files=alike.files,
        documents=tuple(
            type(d)(
                file=d.file, text_bytes=d.text_bytes, kept_bytes=0 if d.file == 0 else d.text_bytes,
                read_seconds=d.read_seconds, work_seconds=d.work_seconds,
            )
            for d in alike.documents
        ),
    )  # fmt: skip
    wide, narrow = (span(rates_of(sample, seed=0).kept) for sample in (one_empty, alike))
    assert wide[2] - wide[1] > 3 * (narrow[2] - narrow[1])


def test_files_that_do_not_say_their_rows_and_samples_of_nothing() -> None:
    """Unknown stays unknown; no documents is an error that names the source and the cause."""
    assert all(math.isnan(rate) for rate in rates_of(made_sample(rows_per_byte=None), seed=0).rows_per_byte)
    with pytest.raises(UserError, match="a/default: its files hold no rows"):
        rates_of(SourceSample(source="a/default", problem="its files hold no rows"), seed=0)
