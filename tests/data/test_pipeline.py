"""The pipeline: position = step, one global batch for any process count, lengths, padding, text."""

import grain
import numpy as np
import pytest

from mmjax import data
from mmjax.data import pipeline, spec
from mmjax.errors import UserError


class Sounds:
    """Example i: a waveform of i + 1 times its index, a picture of 4 + i pixels, a word."""

    def __init__(self, size=10, step=10):
        self.size, self.step = size, step

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return {
            "waveform": np.full(self.step * (index + 1), index, np.int16),
            "image": np.full((4 + index, 4 + index, 3), index, np.uint8),
            "caption": f"number {index}".encode(),
            "label": np.int32(index),
        }


FIT = {"clip_seconds": 30 / pipeline.RATE, "pixels": 5}


def labels(batches, count):
    return [next(batches)["label"].tolist() for _ in range(count)]


def test_the_stream_is_a_function_of_seed_and_step():
    straight = labels(pipeline.train_batches(Sounds(), 4, seed=1, start=0, **FIT), 12)
    assert labels(pipeline.train_batches(Sounds(), 4, seed=1, start=5, **FIT), 7) == straight[5:]
    assert labels(pipeline.train_batches(Sounds(), 4, seed=2, start=0, **FIT), 12) != straight
    epoch = [label for step in straight[:10] for label in step]  # 4 x 10 = four epochs of 10
    assert all(epoch.count(i) == 4 for i in range(10))
    assert epoch[:10] != epoch[10:20]  # shuffled anew


def test_few_examples_come_by_a_permutation_an_epoch_and_many_in_the_order_of_before(monkeypatch):
    def epochs(size, count, **options):
        stream = pipeline.train_batches(Sounds(size), size, seed=1, start=0, **FIT, **options)
        return labels(stream, count)

    # The order belongs to a run: these are its numbers, by hand from the generator's raw ones.
    raw = [np.random.PCG64((1, epoch)).random_raw(7) for epoch in range(3)]
    assert epochs(7, 3) == [sorted(range(7), key=lambda i, of=of: of[i]) for of in raw]
    assert epochs(1, 3) == [[0], [0], [0]]
    before = grain.MapDataset.range(7).seed(1).shuffle().repeat()
    assert epochs(7, 3, order="hash") == [[before[7 * epoch + i] for i in range(7)] for epoch in range(3)]
    monkeypatch.setattr(pipeline, "SMALL", 7)
    assert epochs(7, 3) == epochs(7, 3, order="hash")
    with pytest.raises(UserError, match=r"config\.loader\.order 'random' is unknown: choose permutation, hash"):
        epochs(7, 3, order="random")


def test_any_number_of_processes_sees_the_same_global_batch_and_the_same_crops():
    def take(process):
        stream = pipeline.train_batches(Sounds(step=100), 4, seed=1, start=2, process=process, **FIT)
        return [next(stream) for _ in range(4)]

    whole = take((0, 1))
    halves = [take((i, 2)) for i in range(2)]
    for one, first, second in zip(whole, *halves):
        for name in ("label", "waveform", "image"):
            np.testing.assert_array_equal(one[name], np.concatenate([first[name], second[name]]))


def test_short_sounds_are_padded_and_long_ones_cropped():
    batch = next(pipeline.eval_batches(Sounds(), 4, **FIT))
    assert batch["waveform"].shape == (4, 30)
    assert batch["waveform_length"].tolist() == [10, 20, 30, 30]
    assert batch["waveform"][1].tolist() == [1] * 20 + [0] * 10
    assert batch["image"].shape == (4, 5, 5, 3)
    assert batch["caption"].tolist() == [f"number {i}" for i in range(4)]


def test_training_crops_at_random_and_evaluation_at_the_start():
    ramp = {"waveform": np.arange(100, dtype=np.int16)}
    fit = pipeline.Fit(clip_seconds=30 / pipeline.RATE)
    starts = {int(fit(ramp, np.random.default_rng(i))["waveform"][0]) for i in range(50)}
    assert len(starts) > 20
    assert min(starts) >= 0
    assert max(starts) <= 70
    assert fit(ramp)["waveform"][0] == 0


def test_a_length_that_comes_with_the_example_is_kept():
    example = {"speech": np.zeros(50, np.int16), "speech_length": np.int32(7)}
    assert pipeline.Fit(clip_seconds=20 / pipeline.RATE)(example)["speech_length"] == 7


@pytest.mark.parametrize("count", [1, 2])
def test_the_last_batch_is_padded_and_masked(count):
    seen = []
    for i in range(count):
        for batch in pipeline.eval_batches(Sounds(), 4, examples=7, process=(i, count), **FIT):
            assert len(batch["label"]) == 4 // count
            seen += batch["label"][batch["valid"]].tolist()
    assert sorted(seen) == list(range(7))


@pytest.mark.parametrize("kind", [tuple, list])
@pytest.mark.parametrize("second", [("a", "b"), ("a",)])
def test_examples_may_have_different_numbers_of_captions(kind, second):
    batch = pipeline.stack([{"captions": kind(("a red bell", "a bell"))}, {"captions": kind(second)}])
    assert batch["captions"].shape == (2,)
    assert [list(several) for several in batch["captions"]] == [["a red bell", "a bell"], list(second)]


def test_examples_that_do_not_stack_name_the_field_to_set():
    with pytest.raises(UserError, match=r"waveform differs in shape.*config\.loader\.clip_seconds"):
        next(pipeline.train_batches(Sounds(), 4, seed=0, start=0))
    with pytest.raises(UserError, match=r"image differs in shape.*config\.loader\.pixels"):
        next(pipeline.eval_batches(Sounds(), 4, clip_seconds=0.001))


def test_pictures_are_resized_with_antialiasing():
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 255
    small = pipeline.Fit(pixels=4)({"image": stripes})["image"]
    assert small.min() > 60
    assert small.max() < 200  # a picture of stripes finer than the pixels is grey, not striped


def test_open_refuses_with_both_lists_and_names_options():
    with pytest.raises(UserError, match=r"no answers: it has .*waveform.*needs answers, image"):
        data.open("train", ("image", "answers"), "sounding_scenes")
    with pytest.raises(UserError, match=r"config\.data\.sed.*takes.*seed"):
        data.open("train", ("image",), "sounding_scenes", sed=1)
    with pytest.raises(UserError, match="no such field picture"):
        spec.check(("picture",), ("image",), "x")
    assert "sounding_scenes" in data.names()
    assert "pipeline" not in data.names()
