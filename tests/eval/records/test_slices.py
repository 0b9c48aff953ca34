"""Records cut by kind of question."""

from eval.records.slices import quarter_edges, quarter_names, slices


def test_quarters_are_cut_at_the_quartiles_over_questions_of_all_models(make_record):
    # five questions, margins 0 .. 4; numpy's quartiles of them are 1, 2, 3;
    # rl answers only one and is cut alike
    records = [make_record(f"q{i}", vote_margin=float(i)) for i in range(5)]
    records += [
        make_record("q4", model="rl", vote_margin=4.0)
    ] * 3  # asked thrice: one question all the same
    edges = quarter_edges(records)
    assert edges == {"vote_margin": [0, 1, 2, 3, 4]}
    cut = slices(records[:5], edges)["vote_margin"]
    sizes = {name: [record.question_id for record in part] for name, part in cut.items()}
    assert list(sizes.values()) == [
        ["q0", "q1"],
        ["q2"],
        ["q3"],
        ["q4"],
    ]  # a value at a quartile is in the lower one
    assert [name[:3] for name in slices(records[5:], edges)["vote_margin"]] == ["4th"]


def test_ties_are_never_parted_so_there_may_be_fewer_quarters(make_record):
    records = [
        make_record(f"q{i}", entity_rarity=value) for i, value in enumerate([0.0, 0.0, 0.0, 1.0])
    ]
    edges = quarter_edges(records)
    # quartiles 0, 0, 0.25
    assert edges["rarity"] == [0.0, 0.25, 1.0]
    assert quarter_names(edges["rarity"]) == ["1st of 2: 0 to 0.25", "2nd of 2: over 0.25 to 1"]
    assert [len(part) for part in slices(records, edges)["rarity"].values()] == [3, 1]


def test_a_dimension_without_values_is_left_out_and_records_without_one_stand_in_no_slice(
    make_record,
):
    records = [
        make_record("q0", subset="neutral"),
        make_record("q1"),
        make_record("q2", subset="entailment"),
    ]
    assert quarter_edges(records) == {}
    cut = slices(records, {})
    assert cut.keys() == {"dataset", "task", "subset", "dataset_subset"}
    assert list(cut["subset"]) == ["entailment", "neutral"]  # the paper's order
    assert [len(part) for part in cut["subset"].values()] == [1, 1]
    assert list(cut["dataset_subset"]) == ["pocket-digit/entailment", "pocket-digit/neutral"]
