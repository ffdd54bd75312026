"""How the runs of this folder were made and packed, by the code of commit 895b99d, in whose root all of this was run.

    tiny='--config.steps=4 --config.save_every=4 --config.log_every=2 --config.eval.every=4 --config.eval.examples=8
          --config.eval.test_examples=12 --config.eval.fit_examples=16 --config.eval.gallery=4 --config.loader.threads=1
          --config.data.tokens.examples=100'
    python train.py --config=configs/text_to_image.py:tiny $tiny --config.model.features=6
        --config.model.widths='(4,4,4)' --config.code=8 --config.generator.ground=2 --config.generator.sheet=2
        --config.generator.text=4 --config.discriminator.features=2 --config.discriminator.inside=2
        --config.discriminator.embed=6 --config.optim.text.name=sgd --workdir=runs/text_to_image
    python train.py --config=configs/captioning.py:tiny $tiny --config.encoder.widths='(4,4,8)'
        --config.model.embed=6 --config.model.hidden=8 --workdir=runs/captioning
    python train.py --config=configs/joint_embedding.py:tiny $tiny
        --config.sides="('image','caption','waveform')" --config.image.widths='(4,4,8)' --config.caption.embed=6
        --config.caption.hidden=8 --config.model.dimension=8 --config.waveform.depth=5 --config.waveform.layer=pool3
        --config.waveform.width=0.0625 --config.loader.clip_seconds=1.5 --config.optim.embedding.name=sgd
        --workdir=runs/joint_embedding
    python keep.py FOLDER runs/text_to_image runs/captioning runs/joint_embedding

Of each run it leaves in FOLDER

    <run>.tar.xz   the workdir without curves, predictions and report
    <run>.npz      in/<field>: examples; out/<prediction>: what the restored run predicts of them, without what it only
                   hands on and without judges' features; on/<figure>: what two more steps said of their training.

Two groups learn by plain gradients, whose optimisers keep no moments, so that all of it is less than 1 MB: the
recognition network among the drawing run's frozen weights is half of that. In status.json and commit_success.txt the
path of the folder was made relative.
"""

import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

import mmjax
from mmjax import config as configs
from mmjax import loop, tasks
from mmjax.data import pipeline

ROWS = 2
SAMPLES = 6000  # of a waveform
MORE = 2  # steps


def examples(workdir: Path) -> dict[str, np.ndarray]:
    """The first test examples, cut to what stays small."""
    config = configs.load(workdir)
    task = tasks.build(config)
    source = loop.open_splits(task, config)[config.test_split]
    batch = next(pipeline.eval_batches(source, ROWS, ROWS, **config.loader))
    if "waveform" in batch:
        batch["waveform"] = batch["waveform"][:, :SAMPLES]
        batch["waveform_length"] = np.minimum(batch["waveform_length"], SAMPLES)
    return {name: batch[name] for name in task.fields}


def made(name: str, value: np.ndarray, given: dict[str, np.ndarray]) -> bool:
    """Whether this is an answer of the run's own."""
    return not name.startswith("number/features") and not any(np.array_equal(value, field) for field in given.values())


def smaller(name: str, value: np.ndarray) -> np.ndarray:
    """Of strips of pictures every fourth row and column."""
    strip = name.startswith("image/") and value.shape[2] > value.shape[1]
    return value[:, ::4, ::4] if strip else value


def going_on(workdir: Path) -> dict[str, float]:
    """The figures of MORE steps of training."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(workdir, Path(folder) / "run"))
        config = configs.load(copy)
        with config.unlocked():
            config.steps += MORE
        loop.run(config, copy)
        lines = [json.loads(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    last = next(line for line in lines if line["kind"] == "train" and line["step"] == config.steps)
    return {name: value for name, value in last["values"].items() if name.startswith("loss/")}


def keep(workdir: Path, folder: Path) -> None:
    """Writes both files of one run."""
    given = examples(workdir)
    found = mmjax.restore(workdir).predict(given)
    kept = {f"in/{name}": value for name, value in given.items()}
    kept |= {f"out/{name}": smaller(name, value) for name, value in found.items() if made(name, value, given)}
    kept |= {f"on/{name}": np.float32(value) for name, value in going_on(workdir).items()}
    np.savez_compressed(folder / f"{workdir.name}.npz", **kept)
    with tarfile.open(folder / f"{workdir.name}.tar.xz", "w:xz", preset=9) as file:
        for part in sorted(workdir.iterdir()):
            if part.name not in ("tensorboard", "predictions", "report.html", ".lock"):
                file.add(part, part.name, filter=nobody)


def nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without owner and time."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    for given_run in sys.argv[2:]:
        keep(Path(given_run), Path(sys.argv[1]))
