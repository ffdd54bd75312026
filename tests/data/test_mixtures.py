"""Lists of mixtures: who is in them, that they are the same for everybody, and what is refused."""

import numpy as np
import pytest

from mmjax import data
from mmjax.data import mixtures
from mmjax.errors import UserError


class Clips:
    """Clip i is of class i % kinds and of a constant level; every fifth is silent."""

    def __init__(self, count, kinds):
        self.count, self.kinds = count, kinds

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        wave = np.full(50, 0 if index % 5 == 4 else 1000 + index, np.int16)
        return {"waveform": wave, "label": np.int32(index % self.kinds), "index": np.int32(index)}


@pytest.mark.parametrize("sources", [1, 2, 3])
def test_no_mixture_has_a_class_twice_or_silence_and_no_clip_comes_twice(sources):
    clips = Clips(100, 4)
    found = mixtures.wrap(clips, clips, mixtures.Options(sources=sources, unlike="label"), "x")
    assert found.places.shape[1] == sources
    assert 80 / sources - 4 <= len(found.places) <= 80 / sources
    assert len(set(found.places.ravel().tolist())) == len(found) == found.places.size
    assert all(len(set(row)) == sources for row in found.classes.tolist())
    assert set(found.silent) == set(range(4, 100, 5))
    assert not set(found.silent) & set(found.places.ravel())
    for i in (0, 1, len(found) - 1):
        assert found[i]["waveform"][0] == 1000 + found.places.flat[i]
        assert found[i]["index"] == i
    rows = found.table()
    assert rows[sources] == {"mixture": 1, "clip": int(found.places[1, 0]), "label": int(found.classes[1, 0])}


def test_a_mixture_of_silence_is_impossible():
    class Silent(Clips):
        def __getitem__(self, index):
            return super().__getitem__(index) | {"waveform": np.zeros(50, np.int16)}

    with pytest.raises(UserError, match="10 of them are silent"):
        mixtures.wrap(Silent(10, 3), Silent(10, 3), mixtures.Options(), "x")
    with pytest.raises(UserError, match="2 different label"):
        mixtures.wrap(Clips(10, 1), Clips(10, 1), mixtures.Options(unlike="label"), "x")


def test_the_list_of_a_data_set_is_of_its_seed_and_nothing_else():
    def opened(split="test", fields=("waveform", "label", "index"), **more):
        how = {"examples": 4, "unlike": "label", **more}
        return data.open(split, fields, "sounding_scenes", objects=(1, 1), seconds=1.0, examples=40, mixtures=how)

    one, two, other = opened(), opened(fields=("label",)), opened(seed=1)
    np.testing.assert_array_equal(one.places, two.places)
    assert (one.places != other.places).any()
    assert one.places.shape == (4, 2)
    assert one.prints["label"].content == two.prints["label"].content != other.prints["label"].content
    assert one.table()[0]["label"] in data.sets.sounding_scenes.OBJECTS
    assert not isinstance(opened("train"), mixtures.Mixtures)  # training mixes anew at each step
    for wrong, said in (
        ({"sources": 0}, "1 to 4"),
        ({"field": "image"}, "no sound"),
        ({"nonsense": 1}, "nonsense"),
        ({"unlike": "image"}, "no field"),
    ):
        with pytest.raises(UserError, match=said):
            opened(**wrong)
