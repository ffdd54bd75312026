"""read_aloud: LJSpeech's folder, what is left out by name, letters, silence, splits."""

import importlib.util
import pathlib
import shlex

import numpy as np
import pytest
import soundfile

from mmjax import data
from mmjax.data.sets import read_aloud
from mmjax.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """Thirty sentences, of which some cannot be used."""
    (tmp_path / "wavs").mkdir()
    lines = [f"S{i:02}|Number {i}|Number {'x' * (i % 7)}" for i in range(30)] + ["S00|again", "", "S30|lost|"]
    for i in range(30):
        tone = 0.5 * np.sin(np.arange(8000) * 0.2 * (1 + i / 30))
        tone[:2048], tone[6144:] = 0, 0
        soundfile.write(tmp_path / f"wavs/S{i:02}.wav", tone, 22_050)
    (tmp_path / "wavs/S05.wav").write_text("no sound")
    soundfile.write(tmp_path / "wavs/S06.wav", np.ones(22_050 * 2), 22_050)
    lines[7], lines[8] = f"S07|{'long ' * 20}", "S08|123"
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    return str(tmp_path)


def opened(folder, split="train", fields=("speech", "units", "caption", "text", "id"), **options):
    return data.open(split, fields, name="read_aloud", path=folder, **{"seconds": 1.0, "length": 40, **options})


def test_sentences_letters_and_lengths(folder, capsys, monkeypatch):
    source = opened(folder)
    said = capsys.readouterr().err
    for fault in ("1 unreadable (S05)", "1 longer than 1 s (S06)", "1 of more than 40 letters (S07)",
                  "1 without a letter (S08)", "1 named twice (S00)", "1 without a sound in wavs (S30)"):  # fmt: skip
        assert fault in said
    example = source[0]
    letters = read_aloud.LETTERS
    spoken = "".join(letters[u] for u in example["units"][: example["units_length"]])
    assert spoken == example["text"].lower().strip() == example["caption"].lower().strip()
    assert example["units"].shape == (40,)
    # Silence is cut to a whole window at both ends, and 0.3 s put behind.
    assert abs(int(example["speech_length"]) - (4096 + 6615)) <= 512
    assert example["speech"].shape == (round(1.3 * 22_050),)
    assert np.abs(example["speech"][:600]).max() > 10_000
    assert not example["speech"][example["speech_length"] - 6615 :].any()
    reads = []
    monkeypatch.setattr(read_aloud, "_read", lambda *options: reads.append(options) or np.zeros(9, np.int16))
    assert source[0]["speech_length"] == 9
    assert len(reads) == 1  # though two fields are of it
    assert source.constants["units_names"].tobytes().decode() == letters


def test_splits_are_of_their_own_sentences_and_prints_of_the_text(folder):
    parts = {split: {e["id"] for e in opened(folder, split)} for split in read_aloud.SPLITS}
    assert [len(parts[split]) for split in read_aloud.SPLITS] == [22, 2, 2]
    assert len(set.union(*parts.values())) == 26
    one, other = opened(folder).prints, opened(folder, letters="abcdefg ").prints
    assert set(one) >= {"speech", "units"}
    assert one["units"].content != other["units"].content
    assert one["units"].content == opened(folder).prints["units"].content


def test_letters_of_other_alphabets():
    assert read_aloud.numbers("  Élan\tvital!", read_aloud.LETTERS) == tuple(
        map(read_aloud.LETTERS.index, "elan vital!")
    )
    assert read_aloud.numbers("Été", "étÉ") == (2, 1, 0)
    sound = np.ones(1500, np.int16)
    np.testing.assert_array_equal(read_aloud.trimmed(sound, 0), sound)
    assert len(read_aloud.trimmed(sound, 40)) == 1500


def test_what_is_wrong_is_one_line(folder, tmp_path):
    for options, words in (({"letters": "aa"}, "each letter once"), ({"seconds": 0.0}, "above 0")):
        with pytest.raises(UserError, match=words):
            opened(folder, **options)
    with pytest.raises(UserError, match=r"give the folder that has metadata\.csv"):
        opened(str(tmp_path / "wavs"))
    with pytest.raises(UserError, match="no split 'dev'"):
        opened(folder, "dev")
    (tmp_path / "metadata.csv").write_text("S01,not a pipe")
    read_aloud._sentences.cache_clear()
    with pytest.raises(UserError, match=r"line 1: 'S01,not a pipe' is not ID\|TEXT"):
        opened(folder)


def test_actors_of_a_game_are_folders_to_read_aloud(tmp_path, capsys):
    path = pathlib.Path(__file__).parents[3] / "examples" / "read_by_actors.py"
    found = importlib.util.spec_from_file_location("read_by_actors", path)
    example = importlib.util.module_from_spec(found)
    found.loader.exec_module(example)
    game, out = tmp_path / "game", tmp_path / "two words"
    lines = [("a", "small", "Zlé \\\"oko\\\"?"), ("b", "big", "Zlá lod’!"), ("c", "small", "Rok 7"), ("d", "big", "Ne"),
             ("e", "crab", "Ano,  ano."), ("f", "big", "Ж"), ("g", "small", "Tak|tak")]  # fmt: skip
    for level in ("hall", "cave"):
        (game / "script" / level).mkdir(parents=True)
        (game / "sound" / level / "cs").mkdir(parents=True)
    table = [f'dialogId("{name}", "font_{font}", "English")\ndialogStr("{text}")\n' for name, font, text in lines]
    (game / "script/hall/dialogs_cs.lua").write_text("-- said\n" + "\n".join(table), "utf-8")
    for name in "abcefg":
        soundfile.write(game / f"sound/hall/cs/{name}.ogg", np.sin(np.arange(8000) * 0.2), 22_050)
    example.main([str(out), "--game", str(game)])
    said = capsys.readouterr().out
    assert "left out 1 with numerals, 2 with signs that are no Latin letters, 1 without a recording" in said
    parts = shlex.split(said.splitlines()[-3])  # a path and letters with spaces among them are one argument
    assert parts[3:5] == [f"--config.data.path={out}/all", "--config.data.letters= !',.?adklnozáé"]
    assert {folder.name for folder in out.iterdir()} == {"all", "big", "small"}
    assert (out / "small/metadata.csv").read_text("utf-8") == "hall-a|Zlé oko?\n"
    assert (out / "all/metadata.csv").read_text("utf-8") == "hall-a|Zlé oko?\nhall-b|Zlá lod'!\nhall-e|Ano, ano.\n"
