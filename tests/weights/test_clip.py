"""CLIP's published layouts: both towers equal an independent forward pass in NumPy, and what does not fit is named.

The forward pass is written out here after OpenAI's description, on its names and shapes, in float64.
"""

import json
import zipfile

import jax
import numpy as np
import pytest
import torch_writer
from safetensors.numpy import save_file
from scipy.special import erf

from mmjax.errors import UserError
from mmjax.models.text.text_transformer import TextTransformer
from mmjax.models.vision.modified_resnet import ModifiedResNet
from mmjax.models.vision.vision_transformer import VisionTransformer
from mmjax.text import byte_pairs, vocabulary
from mmjax.weights import clip

PAIRS = byte_pairs.BytePairs(byte_pairs.model(b"x\nt h\nth e</w>\nc at</w>\na t</w>\n", "x"))
WORDS = [*vocabulary.SPECIAL, *PAIRS.tokens]
SPELLED = vocabulary.spell(WORDS)
PUBLISHED = len(PAIRS.tokens) + 2  # their two special tokens are the last
WIDTH, LAYERS, HEADS, PATCH, SIZE, EMBED, TEXT, CONTEXT = 16, 2, 2, 4, 8, 12, 8, 7
VIT = VisionTransformer(WIDTH, LAYERS, HEADS, PATCH, EMBED, SIZE)
RESNET = ModifiedResNet((2, 1), 8, 2, EMBED, 16)
CAPTION = TextTransformer(len(WORDS), TEXT, LAYERS, 4, CONTEXT, EMBED)
ACTIVATIONS = {
    "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    "gelu": lambda x: x * 0.5 * (1 + erf(x / np.sqrt(2))),
}


# -- weights in OpenAI's names and shapes ------------------------------------------------------------------------------


def draw(rng, *shape, scale=0.3):
    return (scale * rng.normal(size=shape)).astype(np.float32)


def norm_of(rng, name, width):
    return {f"{name}.weight": 1 + draw(rng, width), f"{name}.bias": draw(rng, width)}


def blocks_of(rng, name, width):
    out = {}
    for i in range(LAYERS):
        at = f"{name}.resblocks.{i}"
        out |= norm_of(rng, f"{at}.ln_1", width) | norm_of(rng, f"{at}.ln_2", width)
        out |= {
            f"{at}.attn.in_proj_weight": draw(rng, 3 * width, width),
            f"{at}.attn.in_proj_bias": draw(rng, 3 * width),
        }
        for layer, (n, m) in {"attn.out_proj": (1, 1), "mlp.c_fc": (4, 1), "mlp.c_proj": (1, 4)}.items():
            out |= {f"{at}.{layer}.weight": draw(rng, n * width, m * width), f"{at}.{layer}.bias": draw(rng, n * width)}
    return out


def text_of(rng):
    return {
        "token_embedding.weight": draw(rng, PUBLISHED, TEXT, scale=1),
        "positional_embedding": draw(rng, CONTEXT, TEXT),
        "text_projection": draw(rng, TEXT, EMBED),
        "logit_scale": np.float32(4.6052),
        **norm_of(rng, "ln_final", TEXT),
        **blocks_of(rng, "transformer", TEXT),
    }


def vit_of(rng):
    return {
        "visual.class_embedding": draw(rng, WIDTH),
        "visual.positional_embedding": draw(rng, (SIZE // PATCH) ** 2 + 1, WIDTH),
        "visual.conv1.weight": draw(rng, WIDTH, 3, PATCH, PATCH),
        "visual.proj": draw(rng, WIDTH, EMBED),
        **norm_of(rng, "visual.ln_pre", WIDTH),
        **norm_of(rng, "visual.ln_post", WIDTH),
        **blocks_of(rng, "visual.transformer", WIDTH),
    }


def resnet_of(rng):
    out = {}

    def convolution(conv, norm, n, inside, kernel):
        out[f"visual.{conv}.weight"] = draw(rng, n, inside, kernel, kernel, scale=(2 / inside) ** 0.5 / kernel)
        out.update(norm_of(rng, f"visual.{norm}", n))
        out[f"visual.{norm}.running_mean"] = draw(rng, n)
        out[f"visual.{norm}.running_var"] = rng.uniform(0.5, 1.5, n).astype(np.float32)
        out[f"visual.{norm}.num_batches_tracked"] = np.int64(7)

    for i, (n, inside) in enumerate(((4, 3), (4, 4), (8, 4)), start=1):
        convolution(f"conv{i}", f"bn{i}", n, inside, 3)
    inside = 8
    for stage, blocks in enumerate(RESNET.layers, start=1):
        width = 4 * 2**stage
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            for i, (n, m, kernel) in enumerate(((width, inside, 1), (width, width, 3), (4 * width, width, 1)), start=1):
                convolution(f"{at}.conv{i}", f"{at}.bn{i}", n, m, kernel)
            if block == 0:
                convolution(f"{at}.downsample.0", f"{at}.downsample.1", 4 * width, inside, 1)
            inside = 4 * width
    out["visual.attnpool.positional_embedding"] = draw(rng, 5, inside)
    for name, n in {"q": inside, "k": inside, "v": inside, "c": EMBED}.items():
        out[f"visual.attnpool.{name}_proj.weight"] = draw(rng, n, inside, scale=inside**-0.5)
        out[f"visual.attnpool.{name}_proj.bias"] = draw(rng, n)
    return out


# -- the forward pass --------------------------------------------------------------------------------------------------


def normal(w, name, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * w[f"{name}.weight"] + w[f"{name}.bias"]


def affine(w, name, x):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def attention(q, k, v, heads, causal):
    """One example, [t d] each."""
    out = []
    for one, other, seen in zip(*(np.split(x, heads, axis=-1) for x in (q, k, v))):
        scores = one @ other.T / np.sqrt(one.shape[-1])
        if causal:
            scores = np.where(np.tri(*scores.shape, dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        out.append(weights / weights.sum(-1, keepdims=True) @ seen)
    return np.concatenate(out, -1)


def transformer(w, name, x, heads, activation, causal):
    for i in range(LAYERS):
        at = f"{name}.resblocks.{i}"
        three = normal(w, f"{at}.ln_1", x) @ w[f"{at}.attn.in_proj_weight"].T + w[f"{at}.attn.in_proj_bias"]
        x = x + affine(w, f"{at}.attn.out_proj", attention(*np.split(three, 3, axis=-1), heads, causal))
        y = ACTIVATIONS[activation](affine(w, f"{at}.mlp.c_fc", normal(w, f"{at}.ln_2", x)))
        x = x + affine(w, f"{at}.mlp.c_proj", y)
    return x


def standard(image):
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    return (image / 255 - mean) / std


def convolve(x, kernel, stride=1):
    """[c h w] with kernel [out c k k], padded by half of it."""
    k = kernel.shape[-1]
    x = np.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (1, 2))[:, ::stride, ::stride]
    return np.einsum("cijxy,ocxy->oij", windows, kernel)


def vit_forward(w, image, activation):
    out = []
    for picture in standard(image):
        x = picture.transpose(2, 0, 1)
        squares = [x[:, i : i + PATCH, j : j + PATCH] for i in range(0, SIZE, PATCH) for j in range(0, SIZE, PATCH)]
        x = np.stack([w["visual.class_embedding"], *(np.tensordot(w["visual.conv1.weight"], s, 3) for s in squares)])
        x = normal(w, "visual.ln_pre", x + w["visual.positional_embedding"])
        x = transformer(w, "visual.transformer", x, HEADS, activation, False)
        out.append(normal(w, "visual.ln_post", x[0]) @ w["visual.proj"])
    return np.stack(out)


def mean2(x):
    return x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2).mean((2, 4))


def resnet_forward(w, image):
    def layer(x, conv, norm, stride=1):
        x = convolve(x, w[f"visual.{conv}.weight"], stride)
        mean, var, gain, offset = (
            w[f"visual.{norm}.{leaf}"][:, None, None] for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(var + 1e-5) * gain + offset

    out = []
    for picture in standard(image):
        x = picture.transpose(2, 0, 1)
        for i in (1, 2, 3):
            x = np.maximum(layer(x, f"conv{i}", f"bn{i}", 2 if i == 1 else 1), 0)
        x = mean2(x)
        for stage, blocks in enumerate(RESNET.layers, start=1):
            for block in range(blocks):
                at, halve = f"layer{stage}.{block}", stage > 1 and block == 0
                y = np.maximum(layer(x, f"{at}.conv1", f"{at}.bn1"), 0)
                y = np.maximum(layer(y, f"{at}.conv2", f"{at}.bn2"), 0)
                y = layer(mean2(y) if halve else y, f"{at}.conv3", f"{at}.bn3")
                if block == 0:
                    x = layer(mean2(x) if halve else x, f"{at}.downsample.0", f"{at}.downsample.1")
                x = np.maximum(x + y, 0)
        x = x.reshape(len(x), -1).T
        x = np.concatenate([x.mean(0, keepdims=True), x]) + w["visual.attnpool.positional_embedding"]
        q, k, v = (affine(w, f"visual.attnpool.{name}_proj", x) for name in "qkv")
        out.append(affine(w, "visual.attnpool.c_proj", attention(q[:1], k, v, RESNET.heads, False)[0]))
    return np.stack(out)


def text_forward(w, text, activation):
    """One text: published numbers from <|startoftext|> to <|endoftext|>."""
    x = w["token_embedding.weight"][text] + w["positional_embedding"][: len(text)]
    x = transformer(w, "transformer", x, 4, activation, True)
    return normal(w, "ln_final", x[-1]) @ w["text_projection"]


# -- tests -------------------------------------------------------------------------------------------------------------


def wide(weights):
    return {name: np.float64(value) for name, value in weights.items()}


def saved(path, weights):
    save_file({name: np.ascontiguousarray(value) for name, value in weights.items()}, path)
    return path


def load(path, image=VIT, caption=CAPTION, spelled=SPELLED):
    """All that a file holds."""
    return {"image": clip.image(path, image), "caption": clip.caption(path, caption, spelled), **clip.scalars(path)}


def near(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(np.abs(expected).max(), 1))


@pytest.fixture
def weights(rng):
    return vit_of(rng) | text_of(rng)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_transformers_equal_an_independent_forward_pass(tmp_path, rng, weights, activation):
    vit, caption = VIT.clone(activation=activation), CAPTION.clone(activation=activation)
    found = load(saved(tmp_path / "w.safetensors", weights), vit, caption, SPELLED)
    assert found["log_scale"] == np.float32(4.6052)
    assert set(found) == {"image", "caption", "log_scale"}
    image = rng.integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.uint8)
    near(jax.jit(vit.apply)(found["image"], image), vit_forward(wide(weights), np.float64(image), activation))
    # The same texts through both vocabularies: ours without <start>, theirs with both special tokens last.
    texts = ["the cat", "at the", "cat!"]
    index = {token: number for number, token in enumerate(PAIRS.tokens)}
    theirs = [[PUBLISHED - 2, *(index[token] for token in PAIRS(text)), PUBLISHED - 1] for text in texts]
    tokens, length = np.zeros((3, CONTEXT - 1), np.int32), np.zeros(3, np.int32)
    for row, text in enumerate(texts):
        ids, _ = vocabulary.encode(text, SPELLED, model=PAIRS.model)
        length[row] = len(ids) + 1
        tokens[row, : length[row]] = [*ids, vocabulary.END]
    assert list(length) == [len(text) - 1 for text in theirs]
    expected = np.stack([text_forward(wide(weights), text, activation) for text in theirs])
    near(jax.jit(caption.apply)(found["caption"], tokens, length), expected)
    other = jax.jit(caption.clone(activation=next(a for a in ACTIVATIONS if a != activation)).apply)
    assert np.abs(other(found["caption"], tokens, length) - expected).max() > 1e-3


def test_the_residual_network_equals_an_independent_forward_pass(tmp_path, rng):
    weights = resnet_of(rng) | text_of(rng)
    found = load(saved(tmp_path / "w.safetensors", weights), RESNET, CAPTION, SPELLED)
    image = rng.integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    near(jax.jit(RESNET.apply)(found["image"], image), resnet_forward(wide(weights), np.float64(image)))
    assert set(found["image"]) == {"params", "state"}


def hugging_face(weights):
    """The same tensors under the names of transformers' CLIPModel."""
    out = {}
    for name, value in weights.items():
        side = "vision_model" if name.startswith("visual.") else "text_model"
        if ".resblocks." in name:
            number, rest = name.split(".resblocks.")[1].split(".", 1)
            at = f"{side}.encoder.layers.{number}"
            if "in_proj" in rest:
                for part, third in zip("qkv", np.split(value, 3)):
                    out[f"{at}.self_attn.{part}_proj.{rest.removeprefix('attn.in_proj_')}"] = third
                continue
            names = {"attn.out_proj": "self_attn.out_proj", "ln_1": "layer_norm1", "ln_2": "layer_norm2"}
            names |= {"mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
            layer, leaf = rest.rsplit(".", 1)
            out[f"{at}.{names[layer]}.{leaf}"] = value
            continue
        if name in ("visual.proj", "text_projection"):
            out[{"visual.proj": "visual_projection.weight"}.get(name, "text_projection.weight")] = value.T
            continue
        names = {
            "visual.class_embedding": "vision_model.embeddings.class_embedding",
            "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
            "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
            "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
            "positional_embedding": "text_model.embeddings.position_embedding.weight",
        }
        for ours, theirs in (
            ("visual.ln_pre", "vision_model.pre_layrnorm"),
            ("visual.ln_post", "vision_model.post_layernorm"),
            ("ln_final", "text_model.final_layer_norm"),
        ):
            names |= {f"{ours}.{leaf}": f"{theirs}.{leaf}" for leaf in ("weight", "bias")}
        out[names.get(name, name)] = value
    out["text_model.embeddings.position_ids"] = np.arange(CONTEXT)[None]
    return out


def custom_text(weights):
    """open_clip's CustomTextCLIP, data-parallel, with the bias of the sigmoid loss."""
    out = {
        f"module.{name}" if name.startswith("visual.") or name == "logit_scale" else f"module.text.{name}": value
        for name, value in weights.items()
    }
    return out | {"module.logit_bias": np.float32([-10]), "module.text.attn_mask": np.zeros((CONTEXT, CONTEXT))}


@pytest.mark.parametrize("layout", [hugging_face, custom_text])
def test_all_layouts_hold_the_same(tmp_path, weights, layout):
    plain = load(saved(tmp_path / "a.safetensors", weights), VIT, CAPTION, SPELLED)
    found = load(saved(tmp_path / "b.safetensors", layout(weights)), VIT, CAPTION, SPELLED)
    assert found.pop("bias", None) == (-10 if layout is custom_text else None)
    jax.tree.map(np.testing.assert_array_equal, plain, found)


def test_a_state_dict_of_pytorch_in_half_precision(tmp_path, weights):
    torch = pytest.importorskip("torch")
    half = {name: np.float16(value) for name, value in weights.items()}
    inside = {name: torch.from_numpy(np.array(value)) for name, value in half.items()}
    torch.save({"epoch": 3, "state_dict": inside}, tmp_path / "w.pt")
    found = load(tmp_path / "w.pt", VIT, CAPTION, SPELLED)
    plain = load(saved(tmp_path / "a.safetensors", half), VIT, CAPTION, SPELLED)
    jax.tree.map(np.testing.assert_array_equal, plain, found)
    assert found["caption"]["params"]["words"].dtype == np.float32


def test_openais_own_file_is_the_archive_of_a_program(tmp_path, weights, capsys):
    """Objects of classes that the file's own code makes, in half precision, packed; with sizes that are no weights."""
    half = {name: np.array(value, np.float16) for name, value in weights.items()}
    tree = {}
    for name, value in half.items():
        *inside, leaf = name.split(".")
        place = tree
        for part in inside:
            place = place.setdefault(part, {})
        place[leaf] = value
    tree |= {name: np.array(7) for name in ("input_resolution", "context_length", "vocab_size")}

    def module(fields):
        inner = {name: module(value) if isinstance(value, dict) else value for name, value in fields.items()}
        return torch_writer.module("__torch__.multimodal.model.multimodal_transformer", "Part", training=False, **inner)

    path = torch_writer.write_zip(tmp_path / "ViT-B-32.pt", module(tree), zipfile.ZIP_DEFLATED)
    plain = load(saved(tmp_path / "a.safetensors", half), VIT, CAPTION, SPELLED)
    capsys.readouterr()
    jax.tree.map(np.testing.assert_array_equal, plain, load(path, VIT, CAPTION, SPELLED))
    assert "with which GELU" not in capsys.readouterr().err  # its name says it


def test_a_folder_in_parts_with_its_config(tmp_path, weights):
    theirs = hugging_face(weights)
    names = sorted(theirs)
    parts = {name: f"model-{1 + (i % 2)}-of-2.safetensors" for i, name in enumerate(names)}
    for part in set(parts.values()):
        saved(tmp_path / part, {name: theirs[name] for name in names if parts[name] == part})
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "hidden_act": "gelu"}
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": sizes, "text_config": {}}))
    with pytest.raises(UserError, match=r"^heads is 2, the weights' 4"):
        load(tmp_path, VIT, CAPTION, SPELLED)
    found = load(tmp_path, VIT.clone(heads=4, activation="gelu"), CAPTION, SPELLED)
    (tmp_path / "other").mkdir()  # that no config says anything of
    plain = load(saved(tmp_path / "other" / "a.safetensors", weights), VIT, CAPTION, SPELLED)
    jax.tree.map(np.testing.assert_array_equal, plain, found)


# PyTorch 2.14: interpolate(x, mode="bicubic", antialias=True, align_corners=False) of a grid of sin(1.7 k), k = 0..8.
POSITIONS = {
    2: "0.1153547 0.4217222 -0.6629291 0.5078819",
    4: "-0.0022713 0.7490610 0.5898937 -0.3799890 -0.6668393 0.2775438 0.7195867 0.3821671 "
    "-0.9560909 -0.3704145 0.4283891 0.9395397 -0.6886906 -0.7886006 -0.1011436 0.9427047",
}


def test_positions_for_another_resolution(tmp_path, weights, capsys):
    grid = np.sin(1.7 * np.arange(9, dtype=np.float32))[:, None]
    for side, wanted in POSITIONS.items():
        found = clip.resized(np.concatenate([np.float32([[5]]), grid]), side)[:, 0]
        assert found[0] == 5  # the class token stays
        np.testing.assert_allclose(found[1:], [float(number) for number in wanted.split()], atol=1e-5)
    path = saved(tmp_path / "w.safetensors", weights)
    large = clip.image(path, VIT.clone(image_size=4 * PATCH))["params"]
    assert "position embeddings of 8 pixels a side are resized for 16" in capsys.readouterr().err
    small = clip.image(path, VIT)["params"]
    np.testing.assert_array_equal(large["positions"], clip.resized(small["positions"], 4))
    assert large.pop("positions").shape == (1 + 4 * 4, WIDTH)
    jax.tree.map(np.testing.assert_array_equal, large, {k: v for k, v in small.items() if k != "positions"})


@pytest.mark.parametrize(("old", "new"), [(7, 12), (24, 16), (2, 5)])
def test_positions_as_torch_resizes_them(rng, old, new):
    torch = pytest.importorskip("torch")
    table = rng.normal(size=(1 + old * old, 3)).astype(np.float32)
    grid = torch.from_numpy(table[1:]).reshape(1, old, old, -1).permute(0, 3, 1, 2)
    resize = torch.nn.functional.interpolate
    wanted = resize(grid, size=(new, new), mode="bicubic", antialias=True, align_corners=False)
    wanted = wanted.permute(0, 2, 3, 1).reshape(-1, 3).numpy()
    np.testing.assert_allclose(clip.resized(table, new)[1:], wanted, atol=1e-5)


def test_rows_of_a_shorter_vocabulary_and_of_the_special_words(tmp_path, weights):
    path, few = saved(tmp_path / "w.safetensors", weights), WORDS[:-2]
    words = load(path, VIT, CAPTION.clone(vocabulary=len(few)), vocabulary.spell(few))
    words, table = words["caption"]["params"]["words"], weights["token_embedding.weight"]
    np.testing.assert_array_equal(words[[vocabulary.START, vocabulary.END]], table[-2:])
    np.testing.assert_array_equal(words[4:], table[: len(few) - 4])
    assert not words[[vocabulary.PAD, vocabulary.UNK]].any()


def test_what_does_not_fit_is_named(tmp_path, rng, weights):
    path = saved(tmp_path / "w.safetensors", weights)

    def refused(match, image=VIT, caption=CAPTION, spelled=SPELLED, path=path):
        with pytest.raises(UserError, match=match) as error:
            load(path, image, caption, spelled)
        assert "\n" not in str(error.value)

    refused(r"^width is 32, the weights' 16 \(", VIT.clone(width=32))
    refused(
        r"^patch is 2, the weights' 4; embed is 6, the weights' 12 \(",
        VIT.clone(patch=2, embed=6),
    )
    refused(r"^context is 8, the weights' 7 \(", caption=CAPTION.clone(context=8))
    refused(r"^inside is 72, the weights' 64", VIT.clone(inside=72))
    refused(r"^name is 'resnet': the tower of pictures in .* is of kind 'vit'", RESNET)
    words = [*vocabulary.SPECIAL, "a", "cat"]
    refused("choose tokens of kind 'bpe'", caption=CAPTION.clone(vocabulary=6), spelled=vocabulary.spell(words))
    more = [*WORDS, "ab", "cd"]
    refused(
        "it knows 516 .* the vocabulary has 518",
        caption=CAPTION.clone(vocabulary=len(more)),
        spelled=vocabulary.spell(more),
    )
    refused("no such file", path=tmp_path / "none.safetensors")
    residual = saved(tmp_path / "r.safetensors", resnet_of(rng) | text_of(rng))
    refused(r"^image_size is 32, the weights' 16", RESNET.clone(image_size=32), path=residual)
    refused(r"^layers is \(1, 1\), the weights' \(2, 1\)", RESNET.clone(layers=(1, 1)), path=residual)
    refused(r"^name is 'vit'", path=residual)
    lacking = {name: value for name, value in weights.items() if name != "ln_final.bias"}
    refused(
        r"missing: ln_final\.bias; unexpected: other",
        path=saved(tmp_path / "l.safetensors", lacking | {"other": np.zeros(1)}),
    )
    refused(
        "there is no logit_scale",
        path=saved(tmp_path / "s.safetensors", {k: v for k, v in weights.items() if k != "logit_scale"}),
    )
    refused(r"not CLIP's weights: there is no visual\.conv1", path=saved(tmp_path / "t.safetensors", text_of(rng)))
