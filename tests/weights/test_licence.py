"""What is said of a licence is found in the surest place, is said once, and says what may not be sold."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from mmjax.weights import licence, tensors

CARD = "---\ntags:\n- clip\n{}---\n# A model\nlicense: of the text\n"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(licence, "_TOLD", set())


def said(capsys, path, **metadata):
    licence.tell(path, path, metadata)
    return capsys.readouterr().err.removeprefix(f"{path}: ")


def test_places_from_the_surest(tmp_path, capsys):
    path = tmp_path / "sound8.npy"
    assert said(capsys, tmp_path / "mine.npy") == ""
    assert said(capsys, path) == "licence MIT (by its name, of github.com/cvondrick/soundnet)\n"
    (tmp_path / "LICENSE").write_text("\n  Apache License\n  Version 2.0\n")
    assert said(capsys, path) == "licence Apache License (LICENSE beside it)\n"
    (tmp_path / "setup.py").touch()  # where a program is, it is the program's
    assert said(capsys, tmp_path / "mine.npy") == ""
    (tmp_path / "setup.py").unlink()
    (tmp_path / "README.md").write_text(CARD.format("license: cc-by-4.0  # or so\n"))
    assert said(capsys, path) == "licence cc-by-4.0 (README.md beside it)\n"
    assert said(capsys, path, license="bsd") == "licence bsd (its metadata)\n"


@pytest.mark.parametrize(
    ("block", "wanted"),
    [
        ("license: mit\n", "mit"),
        ("license:\n- apache-2.0\nx: y\n", "apache-2.0"),
        ('license: other\nlicense_name: "my-terms"\n', "other (my-terms)"),
        ("", ""),
    ],
)
def test_cards(block, wanted):
    assert licence._of_card(CARD.format(block)) == wanted
    assert licence._of_card("# No block\nlicense: mit\n") == ""


def test_what_may_not_be_sold_is_said_above_all(tmp_path, capsys):
    path = tmp_path / "w.pt"
    free, sold = "licence cc-by-nc-4.0 (its metadata): NOT FOR COMMERCIAL USE\n", ": NOT FOR COMMERCIAL USE\n"
    assert said(capsys, path, license="cc-by-nc-4.0") == free
    assert said(capsys, tmp_path / "metaclip_b32.pt").endswith(sold)
    (tmp_path / "LICENSE.txt").write_text("Terms\n\nThe weights are for non-commercial research only.\n")
    assert said(capsys, path) == f"licence Terms (LICENSE.txt beside it){sold}"
    assert said(capsys, path, license="mit, not ncc") == "licence mit, not ncc (its metadata)\n"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("resnet18_places365.pth.tar", "CC BY"),
        ("vgg19-dcbb9e9d.pth", "terms that may derive"),
        ("ViT-L-14-336px.pt", "MIT"),
        ("RN50x4.pt", "MIT"),
        ("models--openai--clip-vit-base-patch32/snapshots/1/model.safetensors", "MIT"),
        ("glove.6B.zip", "PDDL"),
        ("cc.de.300.bin.gz", "CC-BY-SA-3.0"),
        ("crawl-300d-2M-subword.zip", "CC-BY-SA-3.0"),
        ("GoogleNews-vectors-negative300.bin.gz", ""),
        ("MyViT-B-32.pt.bak", ""),
    ],
)
def test_names_of_published_files(tmp_path, capsys, name, wanted):
    assert said(capsys, tmp_path / name).removeprefix("licence ").startswith(wanted)
    assert bool(wanted) == bool(licence._TOLD)


def test_weights_say_it_once_when_they_are_loaded(tmp_path, capsys):
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "model.safetensors", {"license": "cc-by-nc-2.0"})
    for _ in range(2):
        tensors.read(tmp_path)
    assert capsys.readouterr().err == f"{tmp_path}: licence cc-by-nc-2.0 (its metadata): NOT FOR COMMERCIAL USE\n"
