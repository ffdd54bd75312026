"""The same few captioned pictures in every layout that people have them in, written by hand."""

import io
import json
import os
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from PIL import Image

# (key, captions, split): numbers as img2dataset gives them.
SAID = (
    ("000000000", ("A red, round ball .", "the ball"), "train"),
    ("000000001", ('A dog says "wow"',), "train"),
    ("000000002", ("Ein Käfer, 'grün'", "a beetle"), "train"),
    ("000000010", ("two hills",), "test"),
    ("000000011", ("a tree", "ein Baum"), "test"),
)


def picture(key, kind="PNG"):
    """The bytes of a picture that is told by its key, lossless and longer than a plain one."""
    pixels = np.random.default_rng(int(key)).integers(0, 256, (32, 32, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def pictures(root, folder="", splits=("train", "test")):
    """The picture files; {key: path from the root}."""
    names = {key: os.path.join(folder, f"{key}.png") for key, _, split in SAID if split in splits}
    for key, name in names.items():
        put(root / name, picture(key))
    return names


def tar(path, members, mode="w", **options):
    """A tar of (name, bytes)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, **options) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def parquet(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pa.table(columns), path, row_group_size=2)


def img2dataset(root):
    """Folders of x.png, x.txt and x.json, a table of what was downloaded beside each, and its statistics."""
    for shard, split in enumerate(("train", "test")):
        names = pictures(root, f"{split}/{shard:05}", (split,))
        for key, captions, _ in SAID:
            if key in names:
                meta = {"caption": captions[0], "url": f"http://a/{key}", "key": key, "status": "success", "width": 32}
                put(root / f"{split}/{shard:05}/{key}.txt", captions[0])
                put(root / f"{split}/{shard:05}/{key}.json", json.dumps(meta, indent=4))
        rows = [said for said in SAID if said[2] == split]
        parquet(
            root / f"{split}/{shard:05}.parquet",
            url=[f"http://a/{r[0]}" for r in rows],
            caption=[r[1][0] for r in rows],
        )
        put(root / f"{split}/{shard:05}_stats.json", json.dumps({"count": 3, "successes": 3}))
    return False


def webdataset(root, suffix="tar", mode="w"):
    """Shards of samples, with a split in their names; what is said lies behind the picture or before it."""
    for split in ("train", "test"):
        members = []
        for key, captions, of in SAID:
            if of == split:
                meta = json.dumps({"caption": captions[0], "captions": captions, "key": key}).encode()
                members += [(f"{key}.png", picture(key)), (f"{key}.txt", captions[0].encode()), (f"{key}.json", meta)]
        tar(root / f"cc-{split}-000000.{suffix}", members if split == "train" else members[::-1], mode)
    return False


def imagefolder(root, kind="csv"):
    """Hugging Face's: a file of metadata a split, names from there, and several columns of captions."""
    for split in ("train", "test"):
        mine = [said for said in SAID if said[2] == split]
        pictures(root, split, (split,))
        most = max(len(captions) for _, captions, _ in mine)
        table = {"file_name": [f"{key}.png" for key, _, _ in mine]}
        for number in range(most):
            table[f"caption_{number}"] = [c[number] if number < len(c) else None for _, c, _ in mine]
        if kind == "parquet":
            parquet(root / split / "metadata.parquet", **table)
            continue
        rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        if kind == "jsonl":
            put(root / split / "metadata.jsonl", "\n".join(map(json.dumps, rows)))
        else:
            cells = [[f'"{(row[c] or "").replace(chr(34), 2 * chr(34))}"' for c in table] for row in rows]
            put(root / split / "metadata.csv", "\n".join(map(",".join, [list(table), *cells])))
    return True


def hub_parquet(root):
    """What push_to_hub writes: data/SPLIT-00000-of-00001.parquet with {bytes, path} and lists of captions."""
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for split in ("train", "test"):
        mine = [said for said in SAID if said[2] == split]
        cells = [{"bytes": picture(key), "path": f"{key}.png"} for key, _, _ in mine]
        captions = [list(captions) for _, captions, _ in mine]
        path = root / "data" / f"{split}-00000-of-00001.parquet"
        parquet(path, image=pa.array(cells, struct), caption=captions, sentids=[[1]] * len(mine))
    return True


def img2dataset_parquet(root):
    """Its output_format=parquet: bytes alone, called jpg, and txt."""
    for shard, split in enumerate(("train", "test")):
        mine = [said for said in SAID if said[2] == split]
        keys, texts = [key for key, _, _ in mine], [captions[0] for _, captions, _ in mine]
        pixels = pa.array([picture(key) for key in keys], pa.binary())
        parquet(root / split / f"{shard:05}.parquet", url=keys, caption=texts, key=keys, jpg=pixels, txt=texts)
    return False


def open_clip(root):
    """Tables with TAB, filepath and title, a row a caption, paths from the root of the machine."""
    names = pictures(root, "images")
    for split in ("train", "test"):
        rows = [f"{root / names[key]}\t{text}" for key, captions, of in SAID if of == split for text in captions]
        put(root / f"{split}.csv", "\n".join(["filepath\ttitle", *rows, ""]))
    return True


def conceptual(root):
    """CC3M's TSV without a heading, with local files in place of addresses."""
    names = pictures(root, "images")
    for split, file in (("train", "Train_GCC-training.tsv"), ("test", "Test_GCC-test.tsv")):
        rows = [f"{text}\t{names[key]}" for key, captions, of in SAID if of == split for text in captions]
        put(root / file, "\n".join([*rows, ""]))
    return True


def coco(root):
    """COCO's annotations, val2014 being its test."""
    (root / "annotations").mkdir(parents=True)
    for split, of in (("train", "train2014"), ("test", "val2014")):
        names = pictures(root, of, (split,))
        images = [{"id": int(key), "file_name": f"{key}.png"} for key in names]
        said = [{"image_id": int(k), "caption": text} for k, captions, _ in SAID if k in names for text in captions]
        content = json.dumps({"images": images, "annotations": said})
        put(root / "annotations" / f"captions_{of}.json", content)
    return True


def utf_16(root):
    """A table as spreadsheets write it when they are asked for Unicode."""
    names = pictures(root)
    rows = [f"{names[key]}\t{text}\t{split}" for key, captions, split in SAID for text in captions]
    put(root / "captions.txt", "\r\n".join(["file\tcaption\tsplit", *rows]).encode("utf-16"))
    return True


# Each writes its layout and says whether it holds all captions of a picture, or the first.
LAYOUTS = {
    "coco": coco,
    "img2dataset": img2dataset,
    "webdataset": webdataset,
    "webdataset.gz": lambda root: webdataset(root, "tar.gz", "w:gz"),
    "imagefolder csv": imagefolder,
    "imagefolder jsonl": lambda root: imagefolder(root, "jsonl"),
    "imagefolder parquet": lambda root: imagefolder(root, "parquet"),
    "hub parquet": hub_parquet,
    "img2dataset parquet": img2dataset_parquet,
    "open_clip": open_clip,
    "conceptual": conceptual,
    "utf-16": utf_16,
}
