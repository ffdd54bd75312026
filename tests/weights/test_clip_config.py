"""What CLIP's tensors do not say is read beside them, or known of the published networks, or told to be unknown."""

import json

import pytest

from mmjax.errors import OptionError
from mmjax.models.joint import clip as networks
from mmjax.models.text.text_transformer import TextTransformer
from mmjax.models.vision.modified_resnet import ModifiedResNet
from mmjax.models.vision.vision_transformer import VisionTransformer
from mmjax.weights import clip_config

HUGE = VisionTransformer(1280, 32, 16, 14, 1024, 224, "gelu")  # heads of 80
SMALL = VisionTransformer(48, 2, 3, 8, 12, 24)
TEXT = TextTransformer(20, 1024, 24, 16, 77, 1024, "gelu")


@pytest.fixture
def weights(tmp_path):
    """Their path, and what writes a config beside them."""
    (tmp_path / "m").mkdir()
    return tmp_path / "m" / "w.bin", lambda name, config: (tmp_path / "m" / name).write_text(json.dumps(config))


@pytest.mark.parametrize("name", [name for name in networks.PRESETS if name.startswith("ViT")])
def test_published_networks_say_their_heads(name):
    image, text = networks.PRESETS[name]["image"], networks.PRESETS[name]["text"]
    wide = {"ViT-H-14": 80, "ViT-g-14": 88, "ViT-bigG-14": 104}.get(name, 64)
    assert networks.HEADS["image"][image["width"], image["layers"]] == image["heads"] == image["width"] // wide
    assert networks.HEADS["text"][text["width"], text["layers"]] == text["heads"] == text["width"] // 64


def test_the_heads_of_published_sizes_are_asked_for(weights, capsys):
    path, _ = weights
    clip_config.check(path, HUGE, "image")
    clip_config.check(path, TEXT, "text")
    assert "how many heads" not in capsys.readouterr().err
    with pytest.raises(OptionError, match=r"^heads is 20, the weights' 16 \("):  # what 64 wide heads would be
        clip_config.check(path, HUGE.clone(heads=20), "image")
    with pytest.raises(OptionError, match=r"^heads is 8, the weights' 16 \("):
        clip_config.check(path, TEXT.clone(heads=8), "text")


def test_other_sizes_need_the_field_and_no_guess(weights, capsys):
    path, _ = weights
    clip_config.check(path, SMALL, "image")
    heads, activation = capsys.readouterr().err.splitlines()
    assert heads == f"{path}: nothing says of the tower of pictures how many heads it has: heads=3 is taken"
    assert "with which GELU it was trained: activation='quick_gelu' is taken; OpenAI's want quick_gelu" in activation


def test_residual_networks_have_heads_too(weights, capsys):
    path, write = weights
    half = ModifiedResNet((3, 4, 6, 3), 64, 32, 1024, 224)  # heads are of 2,048 / 64
    clip_config.check(path, half, "image")
    with pytest.raises(OptionError, match=r"^heads is 8, the weights' 32 \("):
        clip_config.check(path, half.clone(heads=8), "image")
    write("open_clip_config.json", {"model_cfg": {"vision_cfg": {"width": 20, "layers": [1, 1]}}})
    clip_config.check(path, ModifiedResNet((1, 1), 20, 10, 12, 16), "image")
    with pytest.raises(OptionError, match=r"^heads is 5, the weights' 10 \("):
        clip_config.check(path, ModifiedResNet((1, 1), 20, 5, 12, 16), "image")
    assert capsys.readouterr().err == ""


OPEN_CLIP = {
    "model_cfg": {
        "embed_dim": 12,
        "vision_cfg": {"width": 48, "layers": 2, "head_width": 16},
        "text_cfg": {"width": 1024, "layers": 24, "heads": 32},
    }
}
HUGGING_FACE = {
    "text_config": {"hidden_act": "gelu", "hidden_size": 512},
    "text_config_dict": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 32},
    "vision_config": {"hidden_act": "gelu", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3},
}


@pytest.mark.parametrize(
    ("name", "config"), [("open_clip_config.json", OPEN_CLIP), ("config.json", HUGGING_FACE)], ids=["open_clip", "hf"]
)
def test_a_config_beside_the_weights_is_believed(weights, capsys, name, config):
    path, write = weights
    write(name, config)
    small = SMALL.clone(activation="gelu")
    clip_config.check(path, small, "image")
    clip_config.check(path, TEXT.clone(heads=32), "text")  # more than is published of these sizes
    for wrong, match in (({"heads": 4}, "^heads is 4, the weights' 3"), ({"activation": "quick_gelu"}, "^activation")):
        with pytest.raises(OptionError, match=match):
            clip_config.check(path, small.clone(**wrong), "image")
    assert capsys.readouterr().err == ""
    clip_config.check(path, HUGE, "image")  # the config is of another network
    assert "with which GELU" in capsys.readouterr().err


def test_what_a_config_leaves_out_is_the_default_of_its_library(weights):
    path, write = weights
    base = VisionTransformer(768, 12, 12)
    write("config.json", {"vision_config": {}, "text_config": {}})
    clip_config.check(path, base, "image")
    with pytest.raises(OptionError, match="the weights' 'quick_gelu'"):
        clip_config.check(path, base.clone(activation="gelu"), "image")
    write("open_clip_config.json", {"model_cfg": {"quick_gelu": True, "vision_cfg": {"width": 768, "layers": 12}}})
    with pytest.raises(OptionError, match="the weights' 'quick_gelu'"):
        clip_config.check(path, base.clone(activation="gelu"), "image")


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("vit_b_32-laion2b_e16-af8dbd0c.pth", "gelu"),
        ("models--laion--CLIP-ViT-H-14-laion2B-s32B-b79K/snapshots/1c2b8495/open_clip_pytorch_model.bin", "gelu"),
        ("CLIP-ViT-B-16-DataComp.XL-s13B-b90K/model.safetensors", "gelu"),
        ("vit_b_32-quickgelu-laion400m_e31-d867053b.pt", "quick_gelu"),
        ("clip-vit-base-patch32.openai.safetensors", "quick_gelu"),
    ],
)
def test_a_name_that_says_another_gelu_is_told(name, activation, capsys):
    other = "gelu" if activation == "quick_gelu" else "quick_gelu"
    clip_config.check(name, HUGE.clone(activation=activation), "image")
    assert capsys.readouterr().err == ""
    clip_config.check(name, HUGE.clone(activation=other), "image")
    said = (
        f"by its name it was trained with activation={activation!r}, and {other!r} is taken for the tower of pictures"
    )
    assert capsys.readouterr().err == f"{name}: {said}\n"
