"""CLIP's published weights, in the layouts of OpenAI, open_clip and Hugging Face, for models.joint.clip.

What the tensors cannot say is how many heads a transformer has, and with which GELU it was trained: OpenAI's are for
activation "quick_gelu", and so are those of open_clip whose name or config says it; its others are for "gelu". See
`weights.clip_config`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jaxtyping import Float, UInt8

from mmjax.errors import OptionError, UserError
from mmjax.models.vision.modified_resnet import ModifiedResNet
from mmjax.models.vision.vision_transformer import VisionTransformer
from mmjax.text import byte_pairs, vocabulary
from mmjax.weights import clip_config, torch_layout
from mmjax.weights.tensors import read

Rule = tuple[str, str, str]  # ours with slashes, the collection first; OpenAI's name; what is done to its array
_IMAGE = "visual."
_POSITIONS = "visual.positional_embedding"
SCALARS = {"log_scale": "logit_scale", "bias": "logit_bias"}
CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "same": lambda x: x,
    "transposed": lambda x: x.T,  # out in -> in out
    "kernel": lambda x: x.transpose(2, 3, 1, 0),  # out in h w -> h w in out
    "patches": lambda x: x.transpose(2, 3, 1, 0).reshape(-1, len(x)),  # out in h w -> (h w in) out
}
_NORM = {"params/{}/scale": "weight", "params/{}/bias": "bias"}
_STATISTICS = {**_NORM, "state/{}/mean": "running_mean", "state/{}/var": "running_var"}


def image(path: str | Path, model: nn.Module) -> dict[str, Any]:
    """The tower of pictures of a published CLIP.

    Args:
      path: what `tensors.read` reads, without PyTorch: OpenAI's own .pt (the archive of a program, which is not run), a
        state dict of open_clip's, .safetensors, a folder or an index of Hugging Face's.
      model: a VisionTransformer or ModifiedResNet of the weights' sizes. The image_size of a VisionTransformer may be
        another: the weights' positions are then resized, see `resized`, and a line says so.

    Returns:
      {"params": tree, and for a ResNet "state": tree}, float32 NumPy.

    Raises:
      OptionError: of the network's `name`, or of its sizes, where it is another one.
      UserError: no such file, or not CLIP's weights.
    """
    tensors = {name: x for name, x in _read(path).items() if name.startswith(_IMAGE)}
    vit = "visual.proj" in tensors
    if vit != isinstance(model, VisionTransformer):
        of = ("vit", "resnet")
        raise OptionError("name", f"is {of[vit]!r}: the tower of pictures in {path} is of kind {of[not vit]!r}")
    sizes, size = _vit_sizes(tensors) if vit else _resnet_sizes(tensors), model.image_size  # type: ignore[attr-defined]
    theirs = sizes.pop("image_size") if vit else size
    _check_sizes(sizes, model, path)
    clip_config.check(path, model, "image")
    if vit and size // sizes["patch"] not in (0, theirs // sizes["patch"]):
        tensors[_POSITIONS] = resized(tensors[_POSITIONS], size // sizes["patch"])
        print(f"{path}: position embeddings of {theirs} pixels a side are resized for {size}", file=sys.stderr)
    return _assembled(tensors, _of_image(model), model, (jax.ShapeDtypeStruct((1, size, size, 3), jnp.uint8),), path)


def caption(path: str | Path, model: nn.Module, spelled: UInt8[np.ndarray, "v letters"]) -> dict[str, Any]:
    """The tower of texts of a published CLIP.

    Args:
      path: as for `image`.
      model: a TextTransformer of the weights' sizes, as large as `spelled`.
      spelled: the vocabulary, of byte pairs. Its order is ours, so the rows of the embedding move; a shorter one takes
        its share. The rows of <pad> and <unk>, which change nothing, are zeros.

    Returns:
      {"params": tree}, float32 NumPy.

    Raises:
      OptionError: of the network's sizes.
      UserError: no such file, not CLIP's weights, or a vocabulary that is not CLIP's.
    """
    found = _read(path)
    tensors = {name: x for name, x in found.items() if not name.startswith(_IMAGE) and name not in SCALARS.values()}
    _check_sizes(_text_sizes(tensors), model, path)
    clip_config.check(path, model, "text")
    tensors["token_embedding.weight"] = _rows(tensors["token_embedding.weight"], spelled, path)
    inputs = (jax.ShapeDtypeStruct((1, 1), jnp.int32), jax.ShapeDtypeStruct((1,), jnp.int32))
    return _assembled(tensors, _of_caption(model), model, inputs, path)


def scalars(path: str | Path) -> dict[str, np.float32]:
    """{"log_scale"}, and "bias" where the weights were trained with the sigmoid loss; `path` as for `image`."""
    tensors = _read(path)
    if SCALARS["log_scale"] not in tensors:
        raise UserError(f"{path}: these are not CLIP's weights: there is no {SCALARS['log_scale']}")
    return {ours: np.float32(tensors[name].reshape(())) for ours, name in SCALARS.items() if name in tensors}


def resized(positions: Float[np.ndarray, "1+n d"], side: int) -> Float[np.ndarray, "1+m d"]:
    """Position embeddings of a class token and a square grid of patches, for a grid of m = side x side.

    As open_clip does: bicubic (Keys, a = -0.5) with antialiasing, the class token as it is.
    """
    token, grid = np.split(positions.astype(np.float32), [1])
    old, width = round(len(grid) ** 0.5), grid.shape[1]
    if old * old != len(grid):
        raise UserError(f"{len(grid)} positions of patches are no square grid")
    new = jax.image.resize(grid.reshape(old, old, width), (side, side, width), "cubic", antialias=True)
    return np.concatenate([token, np.asarray(new).reshape(-1, width)])


def _read(path: str | Path) -> dict[str, np.ndarray]:
    return _openai(read(path), path)


def _assembled(
    tensors: Mapping[str, np.ndarray],
    rules: Iterator[Rule],
    model: nn.Module,
    inputs: tuple[Any, ...],
    path: str | Path,
) -> dict[str, Any]:
    """Our tree, after all arrays of the network were found and found to fit."""
    made = traverse_util.flatten_dict(jax.eval_shape(model.init, jax.random.key(0), *inputs))
    shapes = {key: leaf.shape for key, leaf in made.items()}
    known = {theirs: (tuple(ours.split("/")), change) for ours, theirs, change in rules}
    found = {name: CHANGES[known[name][1]](x) if name in known else x for name, x in tensors.items()}
    wanted = {name: shapes[key] for name, (key, _) in known.items()}
    torch_layout.compare({name: x.shape for name, x in found.items()}, wanted, str(path))
    flat = {key: np.ascontiguousarray(found[name], np.float32) for name, (key, _) in known.items()}
    return traverse_util.unflatten_dict(flat)


# -- one layout of all -------------------------------------------------------------------------------------------------

# Hugging Face's names, and OpenAI's. Its pre_layrnorm is spelled so.
_HUGGING_FACE = (
    (r"^vision_model\.embeddings\.class_embedding$", "visual.class_embedding"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
    (r"^vision_model\.pre_layrnorm\.", "visual.ln_pre."),
    (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
    (r"^vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
    (r"^text_model\.embeddings\.token_embedding\.", "token_embedding."),
    (r"^text_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^text_model\.final_layer_norm\.", "ln_final."),
    (r"^text_model\.encoder\.layers\.", "transformer.resblocks."),
    (r"\.self_attn\.out_proj\.", ".attn.out_proj."),
    (r"\.layer_norm([12])\.", r".ln_\1."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
)
_LAST = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}  # layers: out in
_NO_WEIGHTS = re.compile(
    r"(^|\.)(num_batches_tracked|attn_mask|position_ids|input_resolution|context_length|vocab_size)$"
)


def _openai(tensors: Mapping[str, np.ndarray], path: str | Path) -> dict[str, np.ndarray]:
    """The tensors under OpenAI's names, whatever the layout."""
    named = {name: value for name, value in tensors.items() if not _NO_WEIGHTS.search(name)}
    named = {name.removeprefix("text."): value for name, value in named.items()}  # open_clip's CustomTextCLIP
    for pattern, ours in _HUGGING_FACE:
        named = {re.sub(pattern, ours, name): value for name, value in named.items()}
    named = {_LAST.get(name, name): value.T if name in _LAST else value for name, value in named.items()}
    for name in [name for name in named if ".self_attn.q_proj." in name]:
        three = [named.pop(name.replace(".q_proj.", f".{part}_proj."), None) for part in "qkv"]
        if all(part is not None for part in three):
            joined = name.replace(".self_attn.q_proj.", ".attn.in_proj_")
            named[joined] = np.concatenate([part for part in three if part is not None])
    wanted = ("visual.conv1.weight", "token_embedding.weight", "positional_embedding", "text_projection")
    missing = [name for name in wanted if name not in named]
    if missing:
        raise UserError(f"{path}: these are not CLIP's weights: there is no {', '.join(missing)}")
    return named


# -- sizes -------------------------------------------------------------------------------------------------------------


def _check_sizes(theirs: Mapping[str, Any], model: nn.Module, path: str | Path) -> None:
    """Raises OptionError, naming both sizes, unless a tower is as large as the weights'."""
    sizes = {name: (getattr(model, name), size) for name, size in theirs.items()}
    if "inside" in sizes:
        sizes["inside"] = sizes["inside"][0] or 4 * theirs["width"], sizes["inside"][1]  # a wrong width is said once
    wrong = [(name, f"is {ours}, the weights' {size}") for name, (ours, size) in sizes.items() if ours != size]
    if wrong:
        (first, said), *more = wrong
        raise OptionError(first, "; ".join([said, *(f"{name} {told}" for name, told in more)]) + f" ({path})")


def _vit_sizes(tensors: Mapping[str, np.ndarray]) -> dict[str, int]:
    width, _, patch, _ = tensors["visual.conv1.weight"].shape
    side = round((len(tensors["visual.positional_embedding"]) - 1) ** 0.5)
    layers = _count(tensors, r"^visual\.transformer\.resblocks\.(\d+)\.")
    embed, first = tensors["visual.proj"].shape[1], tensors.get("visual.transformer.resblocks.0.mlp.c_fc.weight")
    inside = {} if first is None else {"inside": len(first)}
    return {"width": width, "layers": layers, "patch": patch, "image_size": side * patch, "embed": embed, **inside}


def _resnet_sizes(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    stages = _count(tensors, r"^visual\.layer(\d+)\.")
    layers = tuple(_count(tensors, rf"^visual\.layer{stage}\.(\d+)\.") for stage in range(1, stages + 1))
    side = round((len(tensors["visual.attnpool.positional_embedding"]) - 1) ** 0.5)
    width, embed = 2 * len(tensors["visual.conv1.weight"]), len(tensors["visual.attnpool.c_proj.weight"])
    return {"layers": layers, "width": width, "image_size": side * 2 ** (stages + 1), "embed": embed}


def _text_sizes(tensors: Mapping[str, np.ndarray]) -> dict[str, int]:
    width, embed = tensors["text_projection"].shape
    layers = _count(tensors, r"^transformer\.resblocks\.(\d+)\.")
    return {"width": width, "layers": layers, "context": len(tensors["positional_embedding"]), "embed": embed}


def _count(tensors: Mapping[str, np.ndarray], pattern: str) -> int:
    """How many different numbers there are in names."""
    return len({found.group(1) for name in tensors if (found := re.match(pattern, name))})


# -- words -------------------------------------------------------------------------------------------------------------


def _rows(table: Float[np.ndarray, "n d"], spelled: Any, path: str | Path) -> Float[np.ndarray, "v d"]:
    """The published embedding in the order of our vocabulary."""
    tokens, own = vocabulary.words_of(np.asarray(spelled))[len(vocabulary.SPECIAL) :], len(table) - 2
    if tuple(tokens[: len(byte_pairs.SINGLE)]) != byte_pairs.SINGLE:
        raise UserError(f"{path}: the words of published weights are byte pairs: choose tokens of kind 'bpe'")
    if len(tokens) > own:
        raise UserError(f"{path}: it knows {own:,} byte pairs and bytes, the vocabulary has {len(tokens):,}")
    rows = np.zeros((len(vocabulary.SPECIAL) + len(tokens), table.shape[1]), np.float32)
    rows[len(vocabulary.SPECIAL) :] = table[: len(tokens)]
    rows[[vocabulary.START, vocabulary.END]] = table[[own, own + 1]]  # <|startoftext|> and <|endoftext|>, the last two
    return rows


# -- layers ------------------------------------------------------------------------------------------------------------


def _of_image(model: nn.Module) -> Iterator[Rule]:
    if isinstance(model, VisionTransformer):
        yield "params/class_token", "visual.class_embedding", "same"
        yield "params/positions", "visual.positional_embedding", "same"
        yield "params/patches/kernel", "visual.conv1.weight", "patches"
        yield "params/projection/kernel", "visual.proj", "same"
        yield from _norm("norm_before", "visual.ln_pre")
        yield from _norm("norm_after", "visual.ln_post")
        yield from _blocks("visual.transformer", model.layers)
    elif isinstance(model, ModifiedResNet):
        yield "params/pool/positions", "visual.attnpool.positional_embedding", "same"
        for ours, theirs in {"query": "q", "key": "k", "value": "v", "out": "c"}.items():
            yield from _affine(f"pool/{ours}", f"visual.attnpool.{theirs}_proj")
        for i in (1, 2, 3):
            yield from _convolution(f"stem{i}", f"stem_norm{i}", f"visual.conv{i}", f"visual.bn{i}")
        for stage, blocks in enumerate(model.layers, start=1):
            for block in range(blocks):
                ours, theirs = f"stage{stage}_block{block}", f"visual.layer{stage}.{block}"
                for i in (1, 2, 3):
                    yield from _convolution(
                        f"{ours}/conv{i}", f"{ours}/norm{i}", f"{theirs}.conv{i}", f"{theirs}.bn{i}"
                    )
                if block == 0:
                    names = f"{ours}/shortcut", f"{ours}/shortcut_norm"
                    yield from _convolution(*names, f"{theirs}.downsample.0", f"{theirs}.downsample.1")


def _of_caption(model: Any) -> Iterator[Rule]:
    yield "params/words", "token_embedding.weight", "same"
    yield "params/positions", "positional_embedding", "same"
    yield "params/projection/kernel", "text_projection", "same"
    yield from _norm("norm_after", "ln_final")
    yield from _blocks("transformer", model.layers)


def _blocks(name: str, layers: int) -> Iterator[Rule]:
    for i in range(layers):
        ours, theirs = f"blocks/block{i}", f"{name}.resblocks.{i}"
        yield from _norm(f"{ours}/attention_norm", f"{theirs}.ln_1")
        yield from _norm(f"{ours}/network_norm", f"{theirs}.ln_2")
        yield f"params/{ours}/qkv/kernel", f"{theirs}.attn.in_proj_weight", "transposed"
        yield f"params/{ours}/qkv/bias", f"{theirs}.attn.in_proj_bias", "same"
        yield from _affine(f"{ours}/attention_out", f"{theirs}.attn.out_proj")
        yield from _affine(f"{ours}/network_in", f"{theirs}.mlp.c_fc")
        yield from _affine(f"{ours}/network_out", f"{theirs}.mlp.c_proj")


def _affine(ours: str, theirs: str) -> Iterator[Rule]:
    yield f"params/{ours}/kernel", f"{theirs}.weight", "transposed"
    yield f"params/{ours}/bias", f"{theirs}.bias", "same"


def _norm(ours: str, theirs: str, leaves: Mapping[str, str] = _NORM) -> Iterator[Rule]:
    for at, leaf in leaves.items():
        yield at.format(ours), f"{theirs}.{leaf}", "same"


def _convolution(ours: str, norm: str, theirs: str, their_norm: str) -> Iterator[Rule]:
    yield f"params/{ours}/kernel", f"{theirs}.weight", "kernel"
    yield from _norm(norm, their_norm, _STATISTICS)
