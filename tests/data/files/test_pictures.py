"""Picture files of every depth: the same grey from each of them, and what cannot be told is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from mmjax.data.files import pictures
from mmjax.data.files.faults import Fault, Unusable

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))  # 0, 4, ..., 252


def saved(picture, file_format, **options):
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def of(samples, file_format="TIFF", **options):
    return saved(Image.fromarray(samples), file_format, **options)


def grey(mode, file_format, **options):
    return saved(Image.fromarray(RAMP).convert(mode), file_format, **options)


DEEP = RAMP.astype(np.uint16) * 257
UNSIGNED = bytearray(of((RAMP.astype(np.int64) * 16_843_009).astype(np.uint32).view(np.int32)))
UNSIGNED[UNSIGNED.index(b"\x53\x01\x03\x00\x01\x00\x00\x00\x02") + 8] = 1  # SampleFormat: signed -> unsigned
KINDS = {
    "16-bit PNG": of(DEEP, "PNG"),
    "16-bit TIFF": of(DEEP),
    "16-bit TIFF, big-endian": of(DEEP.astype(">u2")),
    "16-bit PGM": b"P5 64 64 65535\n" + DEEP.astype(">u2").tobytes(),
    "10-bit PGM": b"P5 64 64 1023\n" + np.round(RAMP / 255 * 1023).astype(">u2").tobytes(),
    "32-bit TIFF": of((RAMP / 255 * (2**31 - 1)).astype(np.int32)),
    "unsigned 32-bit TIFF": bytes(UNSIGNED),
    "float TIFF": of(RAMP.astype(np.float32) / 255),
    "8-bit": of(RAMP, "PNG"),
    "palette": grey("P", "PNG"),
    "ink": grey("CMYK", "TIFF"),
    "grey with alpha": grey("LA", "PNG"),
    "colour with alpha": grey("RGBA", "PNG"),
    "lossless WebP": grey("RGB", "WEBP", lossless=True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_a_picture_are_one(kind):
    found = pictures.decode(KINDS[kind])
    assert found.shape == (64, 64, 3)
    np.testing.assert_allclose(found.astype(int), np.repeat(RAMP[..., None].astype(int), 3, 2), atol=1)


def test_integers_that_would_all_be_black_are_told():
    """16 bits that a program wrote as 32, and numbers of classes in 16 bits: no picture."""
    for samples, detail in (
        (DEEP.astype(np.int32), f"0 to 64764 of {2**31 - 1}"),
        ((RAMP // 20).astype(np.uint16), "0 to 12 of 65535"),
    ):
        with pytest.raises(Unusable, match=f"values too small for their type: {detail}, all black"):
            pictures.decode(of(samples))
    assert not pictures.decode(of(DEEP * 0)).any()  # a black one is one


def test_one_bit():
    found = pictures.decode(saved(Image.fromarray(RAMP).convert("1", dither=Image.Dither.NONE), "PNG"))
    np.testing.assert_array_equal(found[0, :, 0], np.where(RAMP[0] >= 128, 255, 0))


@pytest.mark.parametrize("values", [(0.0, 250.0), (-0.5, 0.5), (0.0, np.nan)])
def test_floats_that_have_no_white_are_told(values, tmp_path):
    samples = np.tile(np.array(values, np.float32), (4, 1))
    (tmp_path / "f.tif").write_bytes(of(samples))
    with pytest.raises(Unusable, match=r"floats outside 0\.\.1"):
        pictures.eight_bit(samples)
    found = pictures.square(str(tmp_path), 4, "crop", "f.tif")
    told = f"{np.min(values):g} to {np.max(values):g}"
    assert found == Fault("f.tif", "picture with floats outside 0..1", told)


def test_what_is_transparent_is_white():
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[:, 2:, 3] = 255  # the right half is black
    palette = Image.fromarray(np.repeat(np.array([[1, 0]], np.uint8), 4, 0).repeat(2, 1), "P")
    palette.putpalette([0, 0, 0, 90, 0, 0])
    deep = np.array([[7, 7, 0, 0]] * 4, np.uint16)
    for data in (of(clear, "PNG"), saved(palette, "GIF", transparency=1), of(deep, "PNG", transparency=7)):
        np.testing.assert_array_equal(pictures.decode(data)[0, :, 0], [255, 255, 0, 0])


def test_arrays_are_scaled_by_their_type():
    for samples in (DEEP, RAMP / np.float32(255), RAMP, (RAMP / 255 * (2**31 - 1)).astype(np.int32)):
        np.testing.assert_array_equal(pictures.eight_bit(samples), RAMP)


def test_fitted_whole_and_upright(tmp_path):
    samples = np.zeros((2, 4), np.uint16)
    samples[:, :2] = 65535
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down
    (tmp_path / "a.png").write_bytes(of(samples, "PNG", exif=turned))
    found = pictures.decode(pictures.square(str(tmp_path), 4, "squash", "a.png"))
    assert found[0, 0, 0] < 60 < 200 < found[0, 3, 0]
    white = np.asarray(pictures.on_white(tmp_path / "a.png", 4))
    np.testing.assert_array_equal(white[[0, -1]], 255)
    np.testing.assert_array_equal(white[1, :, 0], [255, 255, 0, 0])


def test_damage_is_a_fault_and_suffixes_are_those_that_are_read(tmp_path):
    (tmp_path / "a.png").write_bytes(of(RAMP, "PNG")[:60])
    (tmp_path / "b.png").write_text("no picture")
    for name in ("a.png", "b.png", "gone.png"):
        assert pictures.square(str(tmp_path), 4, "crop", name).kind == "unreadable picture"
    assert {".jpg", ".jpe", ".jfif", ".jp2", ".avif", ".ppm", ".webp", ".tif", ".tga"} <= set(pictures.suffixes())
    assert not {".eps", ".ps", ".mpg", ".h5", ".wmf", ".pdf"} & set(pictures.suffixes())
