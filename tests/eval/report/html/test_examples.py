"""Which questions the page shows, and how their claims and images are shown."""

import io

import pytest

from eval.numbers.summarise import summarise_all
from eval.report.html.examples import ShownClaim, choose_examples, reference_text
from eval.report.html.payload import reliability_payload, wilson_interval
from eval.report.html.pictures import Picture, read_pictures
from reward_fns.errors import UserError


def test_a_third_over_a_third_under_and_the_rest_at_random_datasets_in_turn(make_record):
    def record(name, gap, dataset):
        correct = 0.0 if gap > 0 else 1.0
        return make_record(
            name, model="rl", dataset=dataset, confidence=correct + gap, correct=correct
        )

    gaps = {
        "o1": (0.9, "a"),
        "o2": (0.8, "a"),
        "o3": (0.7, "b"),
        "u1": (-0.9, "a"),
        "u2": (-0.8, "b"),
        "u3": (-0.7, "a"),
    }
    records = [record(name, *values) for name, values in gaps.items()]
    records += [make_record(name, model="other") for name in gaps]
    chosen = choose_examples(records, size=6)
    reasons = {example.question_id: example.reason for example in chosen.shown}
    assert chosen.guide == "RL (Algorithm 1)"
    # size // 3 = 2 each; a's worst, then b's, before a's second
    assert [name for name, reason in reasons.items() if reason == "over"] == ["o1", "o3"]
    assert [name for name, reason in reasons.items() if reason == "under"] == ["u1", "u2"]
    assert {name for name, reason in reasons.items() if reason == "random"} == {"o2", "u3"}
    assert [answer.model for answer in chosen.shown[0].answers] == ["RL (Algorithm 1)", "other"]
    assert choose_examples(list(reversed(records)), size=6) == choose_examples(records, size=6)


def test_an_answer_is_marked_by_the_gap_of_confidence_and_verdict(make_record):
    answers = [
        make_record(f"q{i}", confidence=confidence, correct=correct)
        for i, (confidence, correct) in enumerate([(0.9, 0.0), (0.2, 1.0), (0.5, 0.0), (None, 1.0)])
    ]
    kinds = {e.question_id: e.answers[0].kind for e in choose_examples(answers).shown}
    assert kinds == {"q0": "over", "q1": "under", "q2": "fair", "q3": "unread"}


def test_claims_are_marked_by_tag_and_label(make_record):
    claims = [
        {"text": "a", "sure": True},
        {"text": "b", "sure": True},
        {"text": "c", "sure": False},
    ]
    (example,) = choose_examples([make_record(claims=claims, claim_labels=[1, 0, 1])]).shown
    assert [claim.kind for claim in example.answers[0].claims] == [
        "right sure",
        "wrong sure",
        "right unsure",
    ]
    assert ShownClaim("d", False, None).kind == "unjudged unsure"
    (unjudged,) = choose_examples([make_record(claims=claims, claim_labels=[])]).shown
    assert [claim.kind for claim in unjudged.answers[0].claims][:1] == ["unjudged sure"]


def test_an_answer_without_claims_shows_its_text_cut_at_a_bound(make_record):
    (example,) = choose_examples(
        [make_record(claims=[], claim_labels=[], response="x" * 5000)]
    ).shown
    assert 1000 < len(example.answers[0].text) < 1300 and example.answers[0].text.endswith("…")


def test_images_are_read_for_the_wanted_only_and_kept_small(questions_parquet):
    from PIL import Image

    pictures = read_pictures(questions_parquet, {"q1", "q2", "gone"})
    assert pictures.keys() == {"q1", "q2"}
    assert pictures["q2"].uri.startswith("data:image/png;base64,") and pictures["q2"].width == 32
    large = pictures["q1"]  # 1200 x 900 noise, some three megabytes as PNG
    assert large.uri.startswith("data:image/jpeg;base64,") and (large.width, large.height) == (
        384,
        288,
    )
    import base64

    content = base64.b64decode(large.uri.partition(",")[2])
    assert len(content) < 150_000
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (384, 288)


def test_a_missing_parquet_is_one_clear_error(tmp_path):
    with pytest.raises(UserError, match="no questions at"):
        read_pictures(tmp_path / "none.parquet", {"q0"})


def test_reference_is_the_facts_or_the_text():
    def shown(reference):
        return reference_text(Picture("", 1, 1, reference))

    assert shown('{"task": "QA", "facts": ["A.", "B."]}') == "A. B."
    assert (shown("seven"), shown("7"), shown('["a"]')) == ("seven", "7", '["a"]')


@pytest.mark.parametrize(("k", "n"), [(0, 5), (3, 10), (10, 10), (40, 97)])
def test_wilson_interval_equals_scipys(k, n):
    from scipy.stats import binomtest

    expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(k / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_bins_of_the_page_by_hand(make_record):
    records = [
        make_record("q0", confidence=0.31, correct=1.0),
        make_record("q1", confidence=0.35, correct=0.0),
        make_record("q2", confidence=1.0, correct=1.0),
        make_record("q3", confidence=None, correct=1.0),
    ]
    models, slices = summarise_all(records)
    cell = reliability_payload(models, slices, records)["cells"]["base"]["verbal"]["all"]
    # 0.31 and 0.35 in bin 3: mean 0.33, accuracy 1/2; 1.0 in the closed last bin;
    # the unread one in none
    assert [bin_[:4] for bin_ in cell["bins"]] == [[3, 2, 0.33, 0.5], [9, 1, 1.0, 1.0]]
    assert (cell["n"], cell["parse_failures"]) == (4, 1)
