"""What users give a trained system: one meaning for each type and shape, or one line that says what is wanted."""

import numpy as np
import pytest

from mmjax.data import given
from mmjax.data.files import media
from mmjax.errors import UserError

SOUND = np.array([[0, 16384, -32768, 30000, 12345, -1]], np.int16)


@pytest.fixture
def picture(rng):
    return rng.integers(0, 256, (2, 8, 6, 3)).astype(np.uint8)


def one(name, value, **options):
    return given.batch({name: value}, **options)[name]


@pytest.mark.parametrize("name", ["waveform", "speech"])
def test_every_type_of_sound_is_one_sound(name):
    floats = SOUND / np.float64(32768)
    stereo = np.stack([floats, floats], -1)
    for same in (
        *(SOUND, SOUND[0], SOUND.astype(np.int64), SOUND.astype(np.int32) << 16, SOUND.tolist()),
        *(floats, floats[0], floats.astype(np.float32), stereo, stereo.swapaxes(1, 2), stereo[..., :1]),
    ):
        found = one(name, same)
        assert found.dtype == np.int16
        np.testing.assert_array_equal(found, SOUND)
    assert abs(int(one(name, SOUND / 32767)[0, 3]) - 30000) <= 1
    np.testing.assert_array_equal(one(name, np.float16([[0.5, -0.25]])), [[16384, -8192]])
    np.testing.assert_array_equal(one(name, [[1.5, -1.5]]), [[32767, -32768]])  # decoders overshoot
    assert one(name, np.zeros((44_100, 2), np.float32)).shape == (1, 44_100)
    np.testing.assert_array_equal(one(name, np.zeros((1, 4), np.int32)), np.zeros((1, 4)))


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
def test_a_rate_is_resampled_as_in_the_data_sets(dtype):
    wave = np.sin(np.arange(1600) * 0.05)
    sound = (wave * {"int16": 2**15 - 1, "int32": 2**31 - 128, "float32": 1}[dtype]).astype(dtype)
    values = {"waveform": np.stack([sound, sound]), "waveform_length": np.array([1600, 801])}
    found = given.batch(values, sample_rate=16_000)
    assert found["waveform"].shape == (2, 2205)
    np.testing.assert_array_equal(found["waveform"][1], media.to_int16_mono(sound, 16_000))
    np.testing.assert_array_equal(found["waveform_length"], [2205, 1104])  # 801 * 22,050 / 16,000 = 1,103.9
    np.testing.assert_array_equal(one("waveform", SOUND, sample_rate=22_050), SOUND)


@pytest.mark.parametrize("name", ["image", "face", "pair"])
def test_every_type_and_shape_of_a_picture_is_one_picture(name, picture):
    clear = np.concatenate([picture, np.full((2, 8, 6, 1), 255, np.uint8)], -1)
    for same in (
        *(picture, picture / 255, np.float32(picture) / 255, picture.astype(np.int64), picture.tolist()),
        *(
            picture.astype(">i4"),
            (picture / 255).astype(">f4"),
            picture.transpose(0, 3, 1, 2),
            clear,
            clear.transpose(0, 3, 1, 2),
            picture.astype(np.uint16) * 257,
        ),
    ):
        found = one(name, same)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, picture)
    np.testing.assert_array_equal(one(name, picture[0]), picture[:1])
    grey = np.repeat(picture[..., :1], 3, -1)
    for same in (picture[..., 0], picture[..., :1], picture[:, None, ..., 0]):
        np.testing.assert_array_equal(one(name, same), grey)
    np.testing.assert_array_equal(one(name, picture[0, ..., 0]), grey[:1])


def test_what_is_transparent_becomes_white():
    rgba = np.array([[[[100, 0, 200, 255], [100, 0, 200, 0], [100, 0, 200, 51]]]], np.uint8)
    np.testing.assert_array_equal(one("image", rgba)[0, 0], [[100, 0, 200], [255, 255, 255], [224, 204, 244]])


def test_frames(picture):
    clips = np.stack([picture, picture, picture])  # [3 clips, 2 frames]
    np.testing.assert_array_equal(one("frames", clips / 255), clips)
    np.testing.assert_array_equal(one("frames", clips.transpose(0, 1, 4, 2, 3)), clips)
    trained = {"frames": ("uint8", 8, 2, 8, 6, 3)}
    np.testing.assert_array_equal(one("frames", picture, shapes=trained), picture[None])
    with pytest.raises(UserError, match=r"one clip or one frame of several"):
        one("frames", picture)


def test_other_fields_have_their_type_and_their_batch_axis():
    values = {"caption_tokens": [4, 5, 2], "caption_tokens_length": 3, "label": 7, "boxes": np.ones((2, 4))}
    found = given.batch({**values, "caption": "a bell", "extra": np.ones(5)})
    assert {name: (value.dtype.name, value.shape) for name, value in found.items()} == {
        "caption_tokens": ("int32", (1, 3)),
        "caption_tokens_length": ("int32", (1,)),
        "label": ("int32", (1,)),
        "boxes": ("float32", (1, 2, 4)),
        "extra": ("float64", (5,)),
    }


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        ({"waveform": np.full((1, 4), 9000.0)}, {}, "up to 9000: divide them"),
        ({"waveform": np.full((1, 4), 9000, np.int32)}, {}, r"int32 \[1 4\], with values up to 9000 of 2147483647"),
        ({"waveform": np.full((1, 4), 9e5, np.int64)}, {}, "no full scale"),
        ({"waveform": np.zeros((1, 4), np.uint8)}, {}, r"^waveform wants int16 \[b time\], int32, or floats in -1"),
        ({"waveform": np.array([[0.1, np.nan]])}, {}, "not finite"),
        ({"waveform": np.zeros((2, 99, 99))}, {}, r"got float64 \[2 99 99\]$"),
        ({"waveform": [[1, 2], [3]]}, {}, "differ in shape; pad them"),
        ({"waveform": SOUND}, {"sample_rate": 0}, "sample_rate=0"),
        ({"waveform": SOUND}, {"sample_rate": float("nan")}, "sample_rate=nan"),
        ({"waveform": SOUND}, {"sample_rate": "44100"}, "sample_rate=44100"),
        ({"image": np.zeros((1, 4, 4, 3))}, {"sample_rate": 8000}, "there is none in image"),
        ({"image": np.full((1, 4, 4, 3), 200.0)}, {}, r"floats in 0..1: got float64 .* 0 to 200: .* divide by 255"),
        ({"image": np.full((1, 4, 4, 3), -1.0)}, {}, "with values -1 to 0"),
        ({"image": np.full((1, 4, 4, 3), 300)}, {}, "make them uint8"),
        ({"image": np.ones((1, 4, 4, 3), np.uint16)}, {}, "make them uint8"),  # almost black, or 8-bit after all
        ({"image": np.ones((1, 4, 4, 3), bool)}, {}, "got bool"),
        ({"image": np.zeros((3, 9, 9), np.uint8)}, {}, "channels first or 3 grey ones"),
        ({"image": np.zeros((1, 9, 9, 2), np.uint8)}, {}, r"^image wants uint8 \[b h w 3\], or floats in 0..1: got"),
        ({"image": np.zeros((0, 9, 9, 3), np.uint8)}, {}, r"got uint8 \[0 9 9 3\], which holds nothing"),
        ({"image": np.zeros((2, 0, 9, 3), np.uint8)}, {}, "which holds nothing"),
        ({"waveform": np.zeros((1, 0))}, {}, "which holds nothing"),
        ({"label": np.zeros(0, np.int32)}, {}, "which holds nothing"),
        ({"image": None}, {}, r"got object \[\]$"),
        ({"image": ["a.png", "b.png"]}, {}, r"got <U5 \[2\]$"),
        ({"waveform": np.ones((1, 4), complex)}, {}, "got complex128"),
        ({"image": np.zeros(9, np.uint8)}, {}, r"got uint8 \[9\]$"),
        ({"caption_tokens": np.ones((1, 3))}, {}, r"^caption_tokens wants int32 \[b t\]: got float64 \[1 3\]$"),
        ({"boxes": np.ones(4)}, {}, r"^boxes wants float32 \[b n 4\]: got float64 \[4\]$"),
        ({"waveform": SOUND, "image": np.zeros((2, 4, 4, 3))}, {}, "waveform has 1, image has 2"),
    ],
)  # fmt: skip
def test_what_could_be_several_things_is_refused_in_one_line(values, options, said):
    with pytest.raises(UserError, match=said) as error:
        given.batch(values, **options)
    assert "\n" not in str(error.value)
