"""stamp_scenes on a small tree made here: what is seen, heard and boxed; captions on one side; damaged stamps."""

import io
import pickle

import numpy as np
import pytest
import soundfile
from bundle_writer import bundle
from PIL import Image

from mmjax import data
from mmjax.data import pipeline
from mmjax.data.files import media, stamp_files
from mmjax.data.sets import stamp_scenes, tux_stamps
from mmjax.errors import UserError

pytestmark = pytest.mark.usefixtures("one_child")
COUNT = 24


def stamp(root, name, caption, shade, hertz):
    """A solid square of 20 pixels in a transparent one of 60, and a tone."""
    path = root / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((60, 60, 4), np.uint8)
    picture[30:50, 10:30] = (255, shade, 255, 255)
    Image.fromarray(picture).save(path)
    path.with_suffix(".txt").write_text(f"{caption}\n", encoding="utf-8")
    tone = 0.3 * np.sin(2 * np.pi * hertz * np.arange(11_025) / 22_050)
    soundfile.write(path.with_suffix(".ogg"), np.concatenate([np.zeros(4_000), tone]), 22_050)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("stamps")
    for k in range(COUNT):
        stamp(root, f"animals/a{k:02}", f"Animal number {k}.", 10 * k, 300 + 100 * k)
    stamp(root, "animals/cartoon/a00", "Animal number 0.", 5, 300)  # another picture of one caption
    stamp(root, "symbols/x", "The letter X.", 0, 500)
    (root / "animals" / "a01.ogg").unlink()
    (root / "animals" / "a02.png").write_bytes(b"no picture")
    soundfile.write(root / "animals" / "a03.ogg", np.zeros(9_000), 22_050)
    return str(root)


def opened(tree, split="train", **options):
    options = {"path": tree, "image_size": 96, "seconds": 2.0, "validation": 0.25, "test": 0.25, **options}
    return stamp_scenes.source(split, **options)


def test_boxes_are_exact_and_sounds_are_those_of_the_captions(tree, capsys):
    stamp_scenes._stamps.cache_clear()
    source = opened(tree)
    said = capsys.readouterr().err
    assert "left out 1 silent, 1 unreadable" in said
    ambience_alone, names = opened(tree, sounding="none"), source.captions
    seen = set()
    for index in range(30):
        example, quiet = source[index], ambience_alone[index]
        n = int(np.sum(example["objects"] >= 0))
        heard = np.flatnonzero(example["sounding"])
        seen.add((n, len(heard)))
        assert not example["sounding"][n:].any()
        assert len(set(example["objects"][:n].tolist())) == n
        assert example["label"] == example["objects"][heard[0]]
        assert not example["boxes"][n:].any()
        # Front to back, pixels of a stamp's own colour lie in its box, and reach its edges where it is in front.
        solid = (example["image"][..., 0] > 240) & (example["image"][..., 2] > 240)
        top, left, bottom, right = np.round(example["boxes"][0] * 96).astype(int)
        assert solid[top:bottom, left:right].mean() > 0.9
        assert 0.28 * 96 - 2 <= max(bottom - top, right - left) <= 0.5 * 96 + 1
        # Only the tones of those that sound are there.
        tones = example["waveform"].astype(float) - quiet["waveform"]
        power = np.abs(np.fft.rfft(tones)) ** 2
        peaks = []
        for k in example["objects"][:n]:
            hertz = 300 + 100 * int(names[k].split()[-1].rstrip("."))
            peaks.append(power[2 * hertz - 20 : 2 * hertz + 20].sum() / power.sum())
        np.testing.assert_array_equal(np.asarray(peaks) > 0.05, example["sounding"][:n])
    assert seen == {(n, k) for n in (2, 3, 4) for k in (1, 2)}
    assert opened(tree, sounding="one").constants["sounding_chance"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)


def test_a_caption_is_in_one_split_and_an_example_is_its_number(tree):
    sources = {split: opened(tree, split) for split in stamp_scenes.SPLITS}
    captions = [set(source.captions) for source in sources.values()]
    assert sum(map(len, captions)) == len(set.union(*captions)) == COUNT - 3  # one has no sound, two are damaged
    of_stamps = tux_stamps.grouped([stamp.caption for stamp in tux_stamps.find(tux_stamps.folder_of(tree))[0]])
    assert set.union(*captions) < set(of_stamps.values())
    again = pickle.loads(pickle.dumps(sources["train"]))
    for field, value in sources["train"][7].items():
        np.testing.assert_array_equal(value, again[7][field], err_msg=field)
    assert not np.array_equal(opened(tree, seed=1)[7]["image"], again[7]["image"])
    prints = sources["train"].prints
    assert {f: p.content for f, p in prints.items()} == {f: p.content for f, p in opened(tree).prints.items()}
    assert prints["image"].content != opened(tree, seed=1).prints["image"].content
    with pytest.raises(IndexError):
        sources["test"][2_000]


def test_the_pipeline_makes_batches_of_it(tree):
    fields = ("image", "waveform", "waveform_length", "boxes", "sounding")
    source = data.open("test", fields, "stamp_scenes", path=tree, test=0.4, examples=6, seconds=2.0)
    fit = pipeline.Fit(clip_seconds=1.5, pixels=48)
    batch = fit(source[5])
    assert batch["image"].shape == (48, 48, 3)
    assert batch["waveform"].shape == (round(1.5 * pipeline.RATE),)
    assert batch["boxes"].shape == (4, 4)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"objects": (2, 5)}, "objects"),
        ({"objects": (3, 2)}, "objects"),
        ({"sounding": "all"}, "some, one, none"),
        ({"image_size": 8}, "image_size=8"),
        ({"test": 0.01, "validation": 0.01, "split": "test"}, "a larger share"),
        ({"path": "/nowhere"}, "tuxpaint-stamps-default"),
        ({"split": "dev"}, "no split 'dev'"),
    ],
)
def test_mistakes_are_one_line(tree, options, wrong):
    with pytest.raises(UserError, match=wrong) as caught:
        opened(tree, **options)
    assert "\n" not in str(caught.value)


def test_what_is_nowhere_solid_is_named():
    clear = Image.new("RGBA", (9, 9), (255, 0, 0, 90))
    with pytest.raises(media.Unusable, match="transparent everywhere"):
        stamp_files.cut_out(clear, 32)
    with pytest.raises(media.Unusable, match="silent"):
        stamp_files.trimmed(np.full(100, 3, np.int16))


def test_bundles_of_pictures_and_sounds_are_a_further_test(tmp_path, capsys):
    files = {}
    for number, name in enumerate(("cat", "cow", "dog")):
        picture, sound = io.BytesIO(), io.BytesIO()
        Image.new("RGB", (40, 30), (80 * number, 0, 0)).save(picture, "WEBP")
        soundfile.write(sound, 0.3 * np.sin(np.arange(9_000) / (5 + number)), 22_050, format="OGG")
        files |= {f"{name}.webp": picture.getvalue(), f"{name}.ogg": sound.getvalue()}
    files |= {"alone.webp": b"x", "tune.ogg": b"y", "read.me": b"z"}
    bundle(tmp_path / "a.rcc", files)
    (tmp_path / "b.rcc").write_bytes(b"none")
    (tmp_path / "c.rcc").write_bytes((tmp_path / "a.rcc").read_bytes()[:90])
    source = opened(str(tmp_path), "test", objects=(2, 3))
    assert source.captions == ("cat", "cow", "dog")
    assert source[0]["boxes"].shape == (4, 4)
    said = capsys.readouterr().err
    assert "3 pictures with a sound of 3 bundles" in said
    assert "left out 2 damaged Qt bundle" in said
    with pytest.raises(UserError, match="a test alone"):
        opened(str(tmp_path), "train")
