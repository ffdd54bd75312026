"""The licence that weights of others carry: a line when they are loaded, of what is said of them and where.

What a user may do with trained weights is not ours to know. What is said stands, from the surest: in the file's own
metadata, in the card or the licence that lies in its folder, or in what its publisher says of files of this name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

# By the names that files are published under: the licence, and who says so.
PRESETS = (
    (r"metaclip", "CC-BY-NC-4.0", "github.com/facebookresearch/MetaCLIP"),
    (r"_places365\b", "CC BY", "github.com/CSAILVision/places365"),
    (r"\bpt_inception-2015-12-05", "Apache-2.0", "github.com/mseitzer/pytorch-fid"),
    (r"\b(sound8\.npy|soundnet[58]_final\.t7)$", "MIT", "github.com/cvondrick/soundnet"),
    (r"\b(sound|frame|synthesizer)_(best|latest)\.pth$", "MIT", "github.com/hangzhaomit/Sound-of-Pixels"),
    (
        r"openai.*clip|\b(ViT-[BL]-(32|16|14)(-336px)?|RN(50|101|50x4|50x16|50x64))\.pt$",
        "MIT",
        "github.com/openai/CLIP",
    ),
    (
        r"\b(unet|facial|vocal|lipreading)_best\.pth$|\bcross-modal-pretraining/(facial|vocal)\.pth$",
        "CC-BY-NC-4.0",
        "github.com/facebookresearch/VisualVoice",
    ),
    (r"\bglove\.(6B|42B|840B|twitter)", "PDDL", "nlp.stanford.edu/projects/glove"),
    (r"\b(wiki-news-300d|crawl-300d|cc\.\w+\.300\.|wiki\.\w+\.(bin|vec|zip))", "CC-BY-SA-3.0", "fasttext.cc"),
    (
        r"\b(resnet|vgg)\d+(_bn)?-[0-9a-f]{8}\.pth$",
        "terms that may derive from those of the pictures it was trained on",
        "github.com/pytorch/vision",
    ),
)
_RESERVED = re.compile(r"non-?\s?commercial|\bnc\b|research (purposes )?only", re.IGNORECASE)
_OF_PROGRAMS = ("pyproject.toml", "setup.py", "setup.cfg")  # beside them a LICENSE is the program's
_TOLD: set[str] = set()


def tell(path: str | Path, file: Path, metadata: Mapping[str, str]) -> None:
    """Says once a process, on stderr, what licence weights carry; nothing where nothing says it.

    Args:
      path: as the user gave it.
      file: that is read.
      metadata: of a safetensors file.
    """
    found = next(_said(file, metadata), None)
    if found is None:
        return
    licence, where, text = found
    reserved = ": NOT FOR COMMERCIAL USE" if _RESERVED.search(f"{licence} {text}") else ""
    line = f"{path}: licence {licence} ({where}){reserved}"
    if line not in _TOLD:
        _TOLD.add(line)
        print(line, file=sys.stderr)


def _said(file: Path, metadata: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(licence, where it stands, its text) from the surest place on."""
    for name in ("license", "licence"):
        if metadata.get(name):
            yield " ".join(metadata[name].split())[:100], "its metadata", ""
    for name in ("README.md", "README"):
        text = _text(file.with_name(name))
        card = _of_card(text)
        if card:
            yield card, f"{name} beside it", ""
    program = any(file.with_name(name).exists() for name in _OF_PROGRAMS)
    for name in () if program else ("LICENSE", "LICENCE", "LICENSE.txt", "LICENSE.md", "LICENCE.txt", "COPYING"):
        text = _text(file.with_name(name))
        title = next((line.strip("#* \t") for line in text.splitlines() if line.strip("#* \t")), "")
        if title:
            yield title[:100], f"{name} beside it", text
    whole = "/".join(file.parts[-4:])  # as far as models--OWNER--NAME/snapshots/COMMIT/FILE of a download
    for pattern, licence, source in PRESETS:
        if re.search(pattern, whole, re.IGNORECASE):
            yield licence, f"by its name, of {source}", ""


def _text(path: Path, most: int = 100_000) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(most)
    except OSError:
        return ""


def _of_card(text: str) -> str:
    """`license` and `license_name` of the block of YAML that a model's card begins with; "" for none."""
    lines = text.lstrip("\ufeff").splitlines()
    if not lines or lines[0].strip() != "---":
        return ""
    block = lines[1 : next((i for i, line in enumerate(lines[1:], start=1) if line.strip() == "---"), 1)]
    found = {}
    for i, line in enumerate(block):
        key, colon, value = line.partition(":")
        if colon and key in ("license", "license_name"):
            if not value.strip():  # a list, one a line
                value = next((after for after in block[i + 1 :] if after.strip()), "").strip()
                value = value[1:] if value.startswith("-") else ""
            found[key] = value.split(" #")[0].strip().strip("'\"[]")
    named = found.get("license_name", "")
    licence = found.get("license", "")
    return f"{licence} ({named})" if named and licence else licence or named
