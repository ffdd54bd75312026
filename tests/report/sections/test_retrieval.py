"""The report of a joint space: who is found, what is marked, mistakes, certainty, tags, the map, what is missing."""

import html
import json

import numpy as np
import pytest
from report import fake_run

from mmjax.report import page
from mmjax.report.sections import joint_map, retrieval, tags
from mmjax.report.views import joint

TAGS = {"tags": ("sky", "dog & cat", "car")}


def of(arrays, *sides):
    """Predictions with only these sides of the space."""
    gone = {f"embedding/{side}" for side in ("image", "caption", "waveform")} - {f"embedding/{side}" for side in sides}
    return fake_run.read({k: v for k, v in arrays.items() if k not in gone}, TAGS)


@pytest.fixture
def arrays():
    return fake_run.joint()


def test_sides_hold_the_kept_examples_and_the_captions_that_are_there(arrays):
    image, caption = joint.sides(of(arrays, "caption", "image").predictions)
    assert (image.kind, caption.kind) == ("picture", "text")
    assert (len(image.vectors), len(caption.vectors)) == (5, 9)
    np.testing.assert_array_equal(caption.example, [0, 0, 1, 1, 2, 2, 3, 3, 4])
    assert caption.words(5) == "caption 2 <second>"
    np.testing.assert_allclose(np.linalg.norm(caption.vectors, axis=1), 1)
    _, cosine = joint.scores(image, caption)
    match = joint.relevant(image, caption)
    np.testing.assert_array_equal(match, image.example[:, None] == caption.example[None])
    assert cosine[3, 5] == pytest.approx(1)
    np.testing.assert_array_equal(joint.ranks(cosine.T, match.T), [1, 1, 1, 1, 1, 2 + 3, 1, 1, 1])  # ties against us


def test_a_shared_text_is_right_for_both(arrays):
    arrays["number/caption_ids"][3, 0] = arrays["number/caption_ids"][2, 1]
    image, caption = joint.sides(of(arrays, "caption", "image").predictions)
    match = joint.relevant(image, caption)
    assert match[3, 5]
    assert match[2, 6]
    assert match.sum() == 9 + 2
    _, cosine = joint.scores(image, caption)
    assert joint.ranks(cosine.T, match.T)[5] == 1


def test_gaussians_are_ordered_by_expected_distance(arrays):
    arrays["number/uncertainty_image"] = np.linspace(0, 0.7, 8)
    arrays["number/uncertainty_caption"] = np.linspace(0, 3, 16).reshape(8, 2)
    image, caption = joint.sides(of(arrays, "caption", "image").predictions)
    order, cosine = joint.scores(image, caption)
    assert order[1, 2] == pytest.approx(cosine[1, 2] - (0.1 + 2 * 0.2) / 2)
    drawn = retrieval.render(of(arrays, "caption", "image"))
    assert "ordered by expected distance" in drawn
    assert "most certain captions" in drawn
    least = drawn.split("The least certain pictures")[1].split("</article>")[0]
    assert [part.split("<")[0] for part in least.split("<span>")[1:]] == ["0.4", "0.3"]


def test_nearest_things_are_marked_and_the_right_one_follows_with_its_rank(arrays):
    arrays["embedding/caption"][2, 1] = -arrays["embedding/image"][2]  # its own picture is now the last of five
    drawn = retrieval.render(of(arrays, "caption", "image"))
    assert "Of 9 captions, 8 find a right one first." in drawn
    assert "Of 5 pictures, 5 find a right one first." in drawn
    assert "caption 2 &lt;second&gt;" in drawn
    assert "<second>" not in drawn
    assert "✗ rank 5" in drawn
    mistakes = drawn.split("The most confident mistakes")[1]
    assert mistakes.count("<article") == 1
    assert "✗ 0.00" in mistakes
    assert "rank 5: ✓ −1.00" in mistakes
    assert 'class="chip' not in mistakes


def test_sounds_have_players(arrays):
    drawn = retrieval.render(of(arrays, "image", "waveform"))
    assert drawn.count("<audio") > 4
    assert "Players hold the first 1.5 s." in drawn
    assert "Sounds for pictures" in drawn


def test_three_sides_make_six_directions(arrays):
    drawn = retrieval.render(of(arrays, "image", "caption", "waveform"))
    for title in ("Pictures for captions", "Captions for pictures", "Pictures for sounds", "Sounds for pictures",
                  "Captions for sounds", "Sounds for captions"):  # fmt: skip
        assert f"<b>{title}.</b>" in drawn


@pytest.mark.parametrize("gone", ["image/picture", "text/captions_target", "embedding/image", "embedding/caption"])
def test_without_its_parts_nothing_is_drawn(arrays, gone):
    left = of({k: v for k, v in arrays.items() if k != gone}, "image", "caption")
    assert not retrieval.render(left)
    assert not joint_map.render(left)


def test_odd_arrays_do_not_fail(arrays):
    arrays["embedding/image"] = np.full((8, 10), np.nan, np.float32)
    arrays["number/uncertainty_image"] = np.full(8, np.inf)
    arrays["number/caption_ids"] = np.zeros(8, int)
    assert "caption 0 first" in retrieval.render(of(arrays, "image", "caption"))
    assert joint_map.render(of(arrays, "image", "caption"))
    arrays["embedding/image"] = np.zeros((8, 3))  # of another space
    assert not retrieval.render(of(arrays, "image", "caption"))


def test_tags_both_ways(arrays):
    drawn = tags.render(of(arrays))
    lists, rows = drawn.split("Pictures of tags")
    assert "Of the 5 pictures with tags kept on this page, 1 have a right tag first." in lists
    assert lists.count("<article") == 5
    assert lists.count('class="hit"') == 5
    assert "dog &amp; cat" in rows
    assert "2 of 5 have it, average precision 1.00" in rows
    assert "1 of 5 have it, average precision 0.20" in rows  # all pictures tie at car: its own comes last
    assert not tags.render(of({k: v for k, v in arrays.items() if k != "number/tag_truth"}))
    arrays["number/tag_truth"][:] = False
    assert not tags.render(of(arrays))


def test_pictures_on_the_map_do_not_cover_each_other():
    places = np.array([[0.0, 0.0], [0.05, 0.1], [0.0, 0.3], [1.0, 0.0], [0.85, 0.1]])
    assert joint_map.spaced(places, 5, (0.1, 0.2)) == [0, 2, 3, 4]
    assert joint_map.spaced(places, 2, (0.1, 0.2)) == [0, 2]
    assert joint_map.spaced(np.zeros((3, 2)), 3, (0.1, 0.1)) == [0]


def test_the_map_draws_pictures_dots_and_labels(arrays):
    _, drawn, centred = joint_map.render(of(arrays, "image", "caption")).split("<figure")
    assert "each side's mean removed" in html.unescape(centred)
    assert drawn.count("<image") == 4  # examples 0 and 1 are alike and lie at one place
    assert "caption 0 first" in drawn
    assert "5 pictures, 9 captions on the first two principal components" in drawn


def test_the_whole_page(workdir):
    arrays = fake_run.joint() | {"number/uncertainty_image": np.ones(8), "number/uncertainty_caption": np.ones((8, 2))}
    fake_run.store(workdir, arrays, {"names": {"tags": ["a", "b", "c"]}, "sample_rate": fake_run.RATE})
    (workdir / "results.json").write_text(json.dumps({"split": "test"}))
    source = page.write(workdir).read_text()
    assert (
        source.index("Nearest to each other") < source.index("Tags of pictures") < source.index("5 of the 5 examples")
    )
    assert source.index("The joint space:") > source.index("5 of the 5 examples")
    assert source.count("ordered by cosine similarity") == 1  # the sounds have no uncertainty
