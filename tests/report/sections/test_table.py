"""The results' tables: which figures share a grid, and which baseline is the hardest to beat."""

from mmjax.report.sections import table

NAMES = ("question_only", "image_only", "most_frequent", "another_picture")


def results(*figures, **others):
    values = {}
    for place, figure in enumerate(figures):
        values |= {figure: 0.9} | {f"{figure}/{name}": (k + place) / 10 for k, name in enumerate(NAMES)}
    return {"values": values | others}


def test_figures_with_the_same_baselines_share_a_grid():
    given = results("accuracy", "accuracy_colour", "accuracy_count", perplexity=2.0)
    given["values"]["perplexity/uniform"] = 8.0
    (group,) = table.grids(table.rows(given))
    assert {row.figure for row in group} == {"accuracy", "accuracy_colour", "accuracy_count"}
    page = table.results_table(given)
    assert page.count("question only") == 1  # a column, not a line a figure
    assert page.count("<code>accuracy_count</code>") == 1
    # 0.9 over the best of 0.1 .. 0.4 in the second line
    assert "+0.500 better" in page
    assert "uniform" in page
    assert not table.grids(table.rows(results("accuracy", "accuracy_colour")))  # too few for a grid


def test_the_strongest_baseline_is_shown():
    rows = [row for row in table.rows(results("accuracy")) if row.figure == "accuracy"]
    assert table.strongest(rows).baseline == "another_picture"
    falling = {"kl": 1.0, "kl/a": 3.0, "kl/b": 2.0, "kl/c": float("nan")}
    assert table.strongest(table.rows({"values": falling})).baseline == "b"
    assert table.strongest(table.rows({"values": {"shine": 1.0, "shine/a": 3.0, "shine/b": 9.0}})).baseline == "a"
    assert "another picture: 0.300" in table.tiles(results("accuracy")).replace("another_picture", "another picture")
