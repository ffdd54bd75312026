"""Sound files as people have them: lengths are what is there, damage is told, and whatever FFmpeg reads is read."""

import io
import os

import av
import numpy as np
import pytest
import soundfile

from mmjax.data.files import media, sound_container, sound_file
from mmjax.errors import UserError

RATE = 16_000


def noise_and_tone():
    """Two seconds of noise and six of a faint tone: an encoder of variable rate spends its bits at the beginning."""
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(6 * RATE) / RATE)
    return np.concatenate([np.random.default_rng(0).normal(0, 0.2, 2 * RATE), tone])


def encoded(path, codec, samples=None, muxer=None, layout="mono", **codec_options):
    """Writes a file by PyAV; `muxer` are its options."""
    samples = noise_and_tone() if samples is None else samples
    with av.open(str(path), "w", options=muxer or {}) as out:
        stream = out.add_stream(codec, rate=RATE, layout=layout, options=codec_options)
        channels = samples.reshape(len(samples), -1).T
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels, np.float32), "fltp", layout)
        frame.sample_rate = RATE
        resampler = av.AudioResampler(stream.format.name, layout, RATE, stream.codec_context.frame_size or None)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            out.mux(stream.encode(piece))
    return path


def seconds(path):
    waveform, damage = sound_file.read(path)
    return len(waveform) / media.SAMPLE_RATE, damage


@pytest.fixture(scope="module")
def mp3(tmp_path_factory):
    """{kind: bytes} of variable and constant rate, with and without the frame that says how long it is."""
    folder, kinds = tmp_path_factory.mktemp("mp3"), {}
    for name, options in [("variable", {"flags": "+qscale", "global_quality": "472"}), ("constant", {"b": "64000"})]:
        for told in (False, True):
            path = encoded(folder / f"{name}{told}.mp3", "libmp3lame", muxer={"write_xing": str(int(told))}, **options)
            kinds[f"{name}, told" if told else name] = path.read_bytes()
    return kinds


def id3(length):
    return b"ID3\3\0\0" + bytes(length >> 7 * i & 127 for i in (3, 2, 1, 0)) + bytes(length)


APE = b"".join(
    b"APETAGEX" + bytes([208, 7, 0, 0]) + (3032).to_bytes(4, "little") + bytes(4) + flags.to_bytes(4, "little") + rest
    for flags, rest in [(0xA0000000, bytes(8) + b"\xff\xfb" * 1500), (0x80000000, bytes(8))]
)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda k: k["variable"], 8.0),
        (lambda k: k["constant"], 8.0),
        (lambda k: k["variable, told"], 8.0),
        (lambda k: k["variable"] + k["constant"], 16.0),
        (lambda k: k["variable, told"] + k["constant, told"], 16.0),  # the first frame speaks of the first only
        (lambda k: id3(300_000) + k["variable"] + b"TAG" + bytes(125), 8.0),
        (lambda k: k["constant"] + APE, 8.0),
        (lambda k: k["constant"] + bytes(5000), 8.0),  # a block of a disk, filled up
    ],
    ids=["vbr", "cbr", "told", "joined", "joined, told", "id3", "ape", "padded"],
)
def test_an_mp3_is_as_long_as_a_decoder_finds_it(tmp_path, mp3, make, wanted):
    (tmp_path / "x.mp3").write_bytes(make(mp3))
    found, damage = seconds(tmp_path / "x.mp3")
    assert damage == ""
    assert wanted - 0.001 <= found < wanted + 0.3  # an encoder begins with some silence, and fills its last frame


def test_an_mp3_that_says_its_length_keeps_its_samples(tmp_path, mp3):
    """Priming and padding are cut off as libsndfile does it: a reading to the end changes nothing of what was right."""
    (tmp_path / "x.mp3").write_bytes(mp3["variable, told"])
    samples, rate = soundfile.read(tmp_path / "x.mp3", dtype="float32")
    found = sound_file.read(tmp_path / "x.mp3")[0]
    np.testing.assert_allclose(found, media.to_int16_mono(samples, rate), atol=1)


@pytest.mark.parametrize("kind", ["variable", "variable, told"])
def test_a_truncated_mp3_is_used_up_to_the_damage(tmp_path, mp3, kind):
    data = mp3[kind]
    (tmp_path / "x.mp3").write_bytes(data[: len(data) * 3 // 4 + 100])
    found, damage = seconds(tmp_path / "x.mp3")
    assert 3 < found < 7.5
    assert damage.startswith("damaged (") or "missing at the end" in damage


@pytest.mark.parametrize(
    ("name", "kind", "subtype"),
    [
        *[("x.wav", "WAV", subtype) for subtype in ("GSM610", "G721_32", "NMS_ADPCM_32", "IMA_ADPCM", "ULAW", "ALAW")],
        ("x.aif", "AIFF", "GSM610"),
        ("x.aif", "AIFF", "DWVW_16"),
        ("x.w64", "W64", "GSM610"),
        ("x.au", "AU", "G723_40"),
    ],
)
def test_what_cannot_be_searched_is_read_from_its_beginning(tmp_path, name, kind, subtype):
    sine = 0.5 * np.sin(2 * np.pi * 300 * np.arange(8000) / 8000)
    soundfile.write(tmp_path / name, sine, 8000, format=kind, subtype=subtype)
    waveform, damage = sound_file.read(tmp_path / name)
    assert damage == ""
    assert 22_050 <= len(waveform) < 23_000  # the last block of a codec is a whole one
    assert abs(np.argmax(np.abs(np.fft.rfft(waveform[:22_050]))) - 300) <= 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x.wav", "WAV"), ("x.aif", "AIFF"), ("x.w64", "W64"), ("x.rf64", "RF64"), ("x.au", "AU"), ("x.flac", "FLAC")],
)
def test_cut_files_are_told_and_used(tmp_path, name, kind):
    path = tmp_path / name
    soundfile.write(path, noise_and_tone()[: 2 * RATE], RATE, format=kind, subtype="PCM_16")
    assert seconds(path) == (2.0, "")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    found, damage = seconds(path)
    assert 0.7 < found < 1.01
    lost = int(damage.removesuffix(" frames are missing at the end"))
    np.testing.assert_allclose(lost + found * RATE, 2 * RATE, atol=1)


def test_a_cut_ogg_is_told_by_its_last_page(tmp_path):
    path = encoded(tmp_path / "x.ogg", "libopus")
    whole = path.read_bytes()
    assert seconds(path)[1] == ""
    path.write_bytes(whole[: len(whole) * 2 // 3])
    found, damage = seconds(path)
    assert 1 < found < 7
    assert damage.endswith("bytes are missing at the end")


@pytest.mark.parametrize(("name", "kind"), [("x.ogg", "OGG"), ("x.flac", "FLAC")])
def test_streams_that_follow_each_other_are_all_read(tmp_path, name, kind):
    first, second = io.BytesIO(), io.BytesIO()
    soundfile.write(first, noise_and_tone()[: 2 * RATE], RATE, format=kind)
    soundfile.write(second, noise_and_tone()[-8000:], 8000, format=kind)
    (tmp_path / name).write_bytes(first.getvalue() + second.getvalue())
    assert seconds(tmp_path / name) == (3.0, "")
    assert len(sound_container.links((tmp_path / name).read_bytes())) == 2


def test_a_flac_of_unknown_length_or_with_a_tag_is_whole(tmp_path):
    path = tmp_path / "x.flac"
    soundfile.write(path, noise_and_tone()[:20_001], RATE)
    whole = path.read_bytes()
    wanted = sound_file.read(path)[0]
    stream = whole[:21] + bytes([whole[21] & 0xF0, 0, 0, 0, 0]) + whole[26:]  # the 36 bits of the number of samples
    for data in (stream, whole + b"TAG" + bytes(125)):
        path.write_bytes(data)
        waveform, damage = sound_file.read(path)
        assert damage == ""
        np.testing.assert_array_equal(waveform, wanted)


@pytest.mark.parametrize(
    ("name", "codec"), [("x.m4a", "aac"), ("x.aac", "aac"), ("x.wma", "wmav2"), ("x.webm", "libopus"), ("x.mp4", "aac")]
)
def test_ffmpeg_reads_the_rest(tmp_path, name, codec):
    tone = np.tile(noise_and_tone()[-RATE:, None], 2) * [4.0, 2.0]
    path = encoded(tmp_path / name, codec, tone, layout="stereo", b="48000")
    waveform, damage = sound_file.read(path)
    assert damage == ""
    assert 0.97 < len(waveform) / media.SAMPLE_RATE < 1.2
    middle = waveform[5000:15_000].astype(np.float64)
    np.testing.assert_allclose(np.sqrt(np.mean(middle**2)), 0.3 * 32_767 / np.sqrt(2), rtol=0.1)  # the mean of 0.4, 0.2
    assert sound_file.SUFFIXES.count(path.suffix) == 1


def test_a_tag_in_any_encoding_does_no_harm(tmp_path):
    path = encoded(tmp_path / "x.m4a", "aac")
    path.write_bytes(path.read_bytes().replace(b"SoundHandler", "Sén Handler ".encode("latin-1")))
    with pytest.raises(UnicodeDecodeError):
        av.open(str(path))
    assert seconds(path)[0] > 6


def test_a_cut_webm_is_told(tmp_path):
    path = encoded(tmp_path / "x.webm", "libopus")
    assert seconds(path)[1] == ""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found, damage = seconds(path)
    assert 0.5 < found < 6
    assert damage.endswith("frames are missing at the end")


def test_a_silent_track_hides_no_other(tmp_path):
    """The first one is the default one."""
    with av.open(str(tmp_path / "x.mka"), "w") as out:
        streams = [out.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in range(2)]
        for stream, loud in zip(streams, (0, 9000), strict=True):
            frame = av.AudioFrame.from_ndarray(np.full((1, RATE), loud, np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = RATE, 0
            out.mux([*stream.encode(frame), *stream.encode(None)])
    waveform, damage = sound_file.read(tmp_path / "x.mka")
    assert damage == ""
    np.testing.assert_allclose(waveform[1000:-1000], 9000, atol=40)


def test_a_damaged_packet_costs_itself(tmp_path):
    path = encoded(tmp_path / "x.m4a", "aac", muxer={"movflags": "faststart"})
    before = seconds(path)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 300] = b"\xff" * 300
    path.write_bytes(data)
    after, damage = seconds(path)
    assert before - 1 < after < before + 0.001
    assert damage.startswith("damaged (")


def test_a_missing_extra_is_one_line_and_only_where_it_is_needed(tmp_path, monkeypatch):
    def missing():
        raise UserError("reading videos needs the extra `video`")

    encoded(tmp_path / "x.m4a", "aac")
    (tmp_path / "text.wav").write_text("This is a text file.\n")
    monkeypatch.setattr(media, "require_av", missing)
    with pytest.raises(UserError, match=r"x\.m4a .*needs the extra `video`: pip install 'mmjax\[video\]'"):
        sound_file.read(tmp_path / "x.m4a")
    with pytest.raises(media.Unusable, match=r"unreadable: .*Format not recognised"):
        sound_file.read(tmp_path / "text.wav")


def test_surround_sound_is_the_mean_whatever_reads_it(tmp_path):
    """A voice in the centre of 5.1, by libsndfile and by FFmpeg."""
    six = np.zeros((RATE, 6))
    six[:, 2] = noise_and_tone()[-RATE:] * 6
    soundfile.write(tmp_path / "x.wav", six, RATE, format="WAVEX")
    encoded(tmp_path / "x.mka", "pcm_s16le", six, layout="5.1")
    one, two = (sound_file.read(tmp_path / name)[0] for name in ("x.wav", "x.mka"))
    np.testing.assert_allclose(one, two, atol=2)
    np.testing.assert_allclose(np.abs(one[2000:-2000]).max(), 0.1 * 32_767, rtol=0.01)


def test_saved_by_a_child(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise_and_tone(), RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(99), RATE)
    out = os.fspath(tmp_path / "out.npy")
    assert sound_file.save(str(tmp_path), ("x.wav", out)) == ("", "")
    np.testing.assert_array_equal(np.load(out), sound_file.read(tmp_path / "x.wav")[0])
    assert sound_file.save(str(tmp_path), ("silent.wav", out))[0] == "silent"
