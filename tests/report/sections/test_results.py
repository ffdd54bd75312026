"""The results' tables: which figures share a grid, and which baseline is the hardest to beat."""

import pytest

from mmjax.report.run_files import Run
from mmjax.report.sections import results

NAMES = ("question_only", "image_only", "most_frequent", "another_picture")


def measured(*figures, **others):
    values = {}
    for place, figure in enumerate(figures):
        values |= {figure: 0.9} | {f"{figure}/{name}": (k + place) / 10 for k, name in enumerate(NAMES)}
    return {"values": values | others}


def test_figures_with_the_same_baselines_share_a_grid():
    given = measured("accuracy", "accuracy_colour", "accuracy_count", perplexity=2.0)
    given["values"]["perplexity/uniform"] = 8.0
    (group,) = results.grids(results.rows(given))
    assert {row.figure for row in group} == {"accuracy", "accuracy_colour", "accuracy_count"}
    page = results.render(Run(results=given))
    assert page.count("question only") == 1  # a column, not a line a figure
    assert page.count("<code>accuracy_count</code>") == 1
    # 0.9 over the best of 0.1 .. 0.4 in the second line
    assert "+0.500 better" in page
    assert "uniform" in page
    assert not results.grids(results.rows(measured("accuracy", "accuracy_colour")))  # too few for a grid


def test_the_strongest_baseline_is_shown():
    rows = [row for row in results.rows(measured("accuracy")) if row.figure == "accuracy"]
    assert results.strongest(rows).baseline == "another_picture"
    falling = {"kl": 1.0, "kl/a": 3.0, "kl/b": 2.0, "kl/c": float("nan")}
    assert results.strongest(results.rows({"values": falling})).baseline == "b"
    assert results.strongest(results.rows({"values": {"shine": 1.0, "shine/a": 3.0, "shine/b": 9.0}})).baseline == "a"
    assert "another picture: 0.300" in results.tiles(measured("accuracy")).replace("another_picture", "another picture")


def test_an_oracle_is_a_bound_and_no_baseline():
    values = {"auc": 0.6, "auc/disc": 0.2, "auc/oracle": 0.9, "si_sdr": 5.0, "si_sdr/ideal_ratio_mask": 12.0}
    disc, oracle, mask = results.rows({"values": values})
    assert (disc.verdict, oracle.verdict, mask.verdict) == ("better", "", "")
    assert results.strongest([disc, oracle]) is disc
    assert results.strongest([mask]) is mask  # nothing else to show
    page = results.render(Run(results={"values": values}))
    assert "worse" not in page
    given = measured("accuracy", "accuracy_colour", "accuracy_count")
    given["values"] |= {f"{name}/oracle": 1.0 for name in ("accuracy", "accuracy_colour", "accuracy_count")}
    page = results.render(Run(results=given))
    assert "what an oracle reaches" in page
    assert "+0.500 better" in page
    assert "worse" not in page


@pytest.mark.parametrize(
    ("name", "better"),
    [("object_kl", "lower"), ("r@5", "higher"), ("retrieval_r@10", "higher"), ("median_rank", "lower"),
     ("CIDEr-D", "higher"), ("error_rate", "lower"),
     ("bleu4", "higher"), ("shine", ""), ("mAP", "higher"), ("klaxon_count", ""),
     ("both_right", "higher"), ("recogniser_kid", "lower"), ("diversity", ""),
     ("tags_p@5", "higher"), ("image_to_caption_1k_median_rank", "lower"), ("effective_rank_image", ""),
     ("pointing", "higher"), ("marked_on_silence", "lower"), ("attention_whole", "higher"),
     ("purity_new_speakers", "higher"), ("abx_within", "lower"), ("bits_per_second", "lower"),
     ("picture_found", "higher"), ("pesq", "higher"), ("stoi", "higher"), ("feature_cosine", "higher")],
)  # fmt: skip
def test_directions_from_names(name, better):
    assert results.direction(name, None) == better
    assert results.direction(name, {name: "lower"}) == "lower"


def test_verdicts():
    def verdict(name, value, reference):
        return results.rows({"values": {name: value, f"{name}/b": reference}})[0].verdict

    assert verdict("kl", 1.0, 2.0) == "better"
    assert verdict("kl", 2.0, 1.0) == "worse"
    assert verdict("accuracy", 2.0, 1.0) == "better"
    assert verdict("accuracy", 1.0, 1.0) == "equal"
    assert verdict("accuracy", float("nan"), 1.0) == ""
    assert verdict("shine", 2.0, 1.0) == ""
    [row] = results.rows({"values": {"accuracy": 1.0}})
    assert (row.reference, row.difference, row.verdict) == (None, None, "")
