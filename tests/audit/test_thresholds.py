"""Laws of curves and what-ifs: a curve is monotone; a what-if is what a rerun with that threshold keeps."""

import math
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.audit.judge import Chain, Judged, Scored, judge, score
from pipelines.audit.report import profile_report
from pipelines.audit.thresholds import Threshold, curve, nearest, thresholds_of
from pipelines.audit.what_if import Change, answer, changed, names_of, parse_changes, resolve
from pipelines.errors import UserError
from tests.audit.scored import documents, profiles, run_chain

CHAINS = ("web-en", "web-bilingual", "prefiltered", "qa-4k")
PAIRS = documents(number=50)


@lru_cache(maxsize=8)
def audited(name: str) -> tuple[Chain, Scored, Judged, dict[str, Threshold]]:
    chain = Chain(profiles()[name].filters)
    scored = score(chain, PAIRS)
    judged = judge(chain, scored)
    return chain, scored, judged, {one.name: one for one in thresholds_of(chain, scored, judged)}


def values_of(threshold: Threshold) -> list[float]:
    """Values that matter: those of the documents, and a little beside them."""
    found = {float(v) for rule in threshold.rules for v in threshold.values(rule) if math.isfinite(v)}
    return sorted({*found, *(value * 1.01 + 0.001 for value in found)} - {0.0})


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_curve_is_monotone(data: st.DataObject) -> None:
    *_, thresholds = audited(data.draw(st.sampled_from(CHAINS)))
    one = data.draw(st.sampled_from(list(thresholds.values())))
    low, high = sorted(data.draw(st.tuples(*[st.sampled_from(values_of(one))] * 2)))
    assert (one.kept_at(low) <= one.kept_at(high)) if one.grows else (one.kept_at(low) >= one.kept_at(high))


@pytest.mark.parametrize("name", CHAINS)
def test_curves_go_through_what_is_kept_now_and_end_where_the_rule_drops_nothing(name: str) -> None:
    chain, scored, judged, thresholds = audited(name)
    assert [*thresholds] == names_of(chain)
    for one in thresholds.values():
        points = curve(one)
        shares = [share for _, share in points]
        assert shares == sorted(shares, reverse=not one.grows), one.name
        if one.is_on:
            assert (one.now, judged.kept.sum() / len(scored)) in points, one.name
        if one.key != "min_hits" and not one.name.startswith("language"):
            most = (one.kept_elsewhere & (one.mine | judged.kept)).sum()
            assert shares[-1 if one.grows else 0] == most / len(scored), one.name


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_what_if_equals_a_rerun_with_that_threshold(data: st.DataObject) -> None:
    chain, scored, judged, thresholds = audited(data.draw(st.sampled_from(CHAINS)))
    one = data.draw(st.sampled_from(list(thresholds.values())))
    value = data.draw(st.sampled_from(values_of(one)))
    if one.rules[0].is_count(one.key):
        value = max(1, round(value))
    elif one.key not in ("max_density", "min_avg_word_length", "max_avg_word_length"):
        value = min(1.0, value)
    try:
        rerun = changed(chain, [Change(name=one.name, value=value)])
    except UserError as error:
        # A limit beyond its opposite is refused, here as in a configuration.
        if "nothing would be kept" in str(error):
            return
        raise
    found = answer(chain, scored, judged, [Change(name=one.name, value=value)])
    kept = [run_chain(rerun, document) == [None] * len(rerun.steps) for _, document in PAIRS]
    assert found["kept_after"] == sum(kept) == one.kept_at(value)
    assert found["gained"] == sum(now and not then for now, then in zip(kept, judged.kept, strict=True))
    assert found["lost"] == sum(then and not now for now, then in zip(kept, judged.kept, strict=True))


def test_two_changes_are_one_rerun() -> None:
    chain, scored, judged, _ = audited("web-en")
    changes = parse_changes(["gopher_quality.min_doc_words=90", "max_non_alpha_words_ratio=0.7", "top_n_grams.2=null"])
    resolved = [found for change in changes if (found := resolve(chain, change))]
    assert [change.name for change in resolved][1:] == [
        "gopher_quality.max_non_alpha_words_ratio", "gopher_repetition.top_n_grams.2",
    ]  # fmt: skip
    rerun = changed(chain, resolved)
    kept = sum(run_chain(rerun, document) == [None] * 4 for _, document in PAIRS)
    assert answer(chain, scored, judged, resolved)["kept_after"] == kept
    assert chain.specs == profiles()["web-en"].filters, "the chain that was asked is as it was"


def test_the_nearest_documents_are_the_first_to_change() -> None:
    chain, scored, judged, thresholds = audited("web-en")
    one = thresholds["gopher_quality.max_non_alpha_words_ratio"]
    near = nearest(one, scored, 1)
    assert [document["kept"] for document in near] == [False, True]
    for document, beyond in zip(near, (-1e-9, 1e-9), strict=True):
        row = scored.ids.index(document["id"])
        moved = judge(changed(chain, [Change(name=one.name, value=document["value"] + beyond)]), scored)
        assert moved.kept[row] != judged.kept[row]
        assert abs(moved.kept.astype(int) - judged.kept.astype(int)).sum() == 1, "and no other changes with it"


@pytest.mark.parametrize("name", CHAINS)
def test_the_counts_of_a_report_add_up(name: str) -> None:
    found = profile_report(name, *audited(name)[:3], [])
    assert sum(one["first"] for one in found["filters"]) + found["kept"] == found["documents"] == len(PAIRS)
    assert sum(found["reasons"].values()) == found["documents"] - found["kept"]
    assert sum(one["kept"] for one in found["sources"]) == found["kept"]
    for one in found["filters"]:
        assert 0 <= one["only"] <= one["first"] <= one["drops"] == found["overlap"][one["filter"]][one["filter"]]
        for other, both in found["overlap"][one["filter"]].items():
            assert both == found["overlap"][other][one["filter"]] <= one["drops"]
    for threshold in found["thresholds"]:
        assert threshold["only"] <= threshold["drops"] <= threshold["judges"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("min_doc_words", "a threshold and a number"),
        ("min_doc_words=many", "a threshold and a number"),
        ("min_doc_words=true", "a threshold and a number"),
        ("min_doc_words=[1", "a threshold and a number"),
    ],
)
def test_what_is_no_change_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_changes([text])
    with pytest.raises(UserError, match="twice"):
        parse_changes(["a.b=1", "a.b=2"])


def test_a_value_that_the_filter_refuses_is_refused() -> None:
    chain = audited("web-en")[0]
    with pytest.raises(UserError, match=r"language.threshold=7: threshold is 7"):
        changed(chain, [Change(name="language.threshold", value=7)])
    with pytest.raises(UserError, match="min_doc_words"):
        changed(chain, [Change(name="gopher_quality.min_doc_words", value=2.5)])
