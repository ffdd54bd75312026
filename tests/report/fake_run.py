"""A workdir as a run leaves it, small and made of known numbers."""

import json

import numpy as np

from mmjax.report.run_files import Predictions, Run

RATE = 8_000
NAMES = {"object": ["bell", "dog <b>bark</b>", "drum & bass", "rain"], "scene": ["street", "wood", "kitchen"]}
VALUES = {
    "object_kl": 0.75,
    "object_kl/mean": 1.25,
    "object_agreement": 0.5,
    "object_agreement/majority": 0.3125,
    "object_agreement/chance": 0.25,
    "shine": 3.0,
    "shine/none": 3.0,
}


def onehot(classes, count):
    """Probabilities with 0.7 on each class and the rest spread evenly."""
    scores = np.full((len(classes), count), 0.3 / (count - 1), np.float32)
    scores[np.arange(len(classes)), classes] = 0.7
    return scores


def predictions(examples=16, kept=10):
    """Two heads; the object head is wrong on every fourth example, the scene head on none."""
    rng = np.random.default_rng(0)
    objects, scenes = np.arange(examples) % 4, np.arange(examples) % 3
    guesses = np.where(np.arange(examples) % 4 == 3, 0, objects)
    time = np.arange(RATE // 2) / RATE
    tones = [np.round(12_000 * np.sin(2 * np.pi * 300 * (i + 1) * time)).astype(np.int16) for i in range(kept)]
    return {
        "image/picture": rng.integers(0, 256, (kept, 24, 32, 3), np.uint8),
        "heatmap/attention": rng.random((kept, 6, 8), np.float32),
        "audio/waveform": np.stack(tones),
        "scores/object": np.stack([onehot(guesses, 4)] * 2, axis=1),  # two steps, to be averaged
        "scores/object_target": onehot(objects, 4),
        "scores/scene": onehot(scenes, 3),
        "label/scene_target": scenes.astype(np.int32),
        "embedding/sound": rng.standard_normal((examples, 5)).astype(np.float32) + objects[:, None],
        "text/caption": np.array([f"caption {i}" for i in range(kept)]),
        "text/caption_target": np.array([[f"first {i}", "<script>alert(1)</script>"] for i in range(kept)]),
    }


def read(arrays, names=None, rate=RATE):
    """A run of which nothing but these predictions is there, as the page's sections take it."""
    return Run(predictions=Predictions("test", arrays, names or {}, rate))


def lines(steps=100, every=5):
    """metrics.jsonl: a falling loss and the held-out figures."""
    for step in range(every, steps + 1, every):
        values = {"loss/sound": 100.0 / step, "examples_per_second": 120.0, "steps_per_second": 3.75}
        values |= {"grad_norm/sound": 1.0, "object_kl": 2.0 / step}
        yield {"step": step, "kind": "train", "time": 1.7e9 + step, "values": values}
        if step % 20 == 0:
            held_out = {"object_kl": 1.0 + 1 / step, "object_kl/mean": 1.25, "object_agreement": step / 200}
            yield {"step": step, "kind": "eval", "time": 1.7e9 + step, "values": held_out}


def store(workdir, arrays, about, split="test"):
    """Writes predictions/<split>.npz and .json."""
    (workdir / "predictions").mkdir(exist_ok=True)
    np.savez_compressed(workdir / "predictions" / f"{split}.npz", **arrays)
    (workdir / "predictions" / f"{split}.json").write_text(json.dumps(about))


def write(workdir, kept=10):
    """A finished run in the new folder `workdir`, with the pictures and sounds of `kept` examples."""
    workdir.mkdir()
    config = {
        "system": "soundnet",
        "variant": "tiny",
        "steps": 100,
        "model": {"depth": 8, "widths": [16, 32], "x": None},
    }
    (workdir / "config.json").write_text(json.dumps(config))
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines()))
    results = {"step": 100, "split": "test", "examples": 16, "values": VALUES, "better": {"shine": "higher"}}
    results |= {"probes": {"blank:image": {"object_agreement": 0.25}}, "notes": ["no <i>scene</i> teacher"]}
    (workdir / "results.json").write_text(json.dumps(results))
    command = "python train.py --config=configs/soundnet.py:tiny --workdir='a run'"
    (workdir / "status.json").write_text(json.dumps({"state": "done", "step": 100, "steps": 100, "command": command}))
    store(workdir, predictions(kept=kept), {"names": NAMES, "sample_rate": RATE})


def joint(examples=8, kept=5):
    """A joint space in which caption 1 of example 2 lies at picture 3, and the second caption of example 4 is absent.

    Points of an example lie along its own axis. The tags of example n are n mod 3, but tag 2 always scores highest.
    """
    axis = np.eye(examples, examples + 2, dtype=np.float32)
    captions = np.stack([axis + 0.1, axis + 0.2], axis=1)
    captions[2, 1] = axis[3]
    ids = np.arange(2 * examples).reshape(examples, 2)
    ids[4, 1] = -1
    captions[4, 1] = np.nan
    lines = [f"caption {n} first\ncaption {n} <second>" for n in range(kept)]
    tone = np.round(9_000 * np.sin(np.arange(RATE * 2) / 4)).astype(np.int16)
    truth = np.arange(examples)[:, None] % 3 == np.arange(3)[None]
    return {
        "image/picture": np.random.default_rng(1).integers(0, 256, (kept, 30, 40, 3), np.uint8),
        "audio/sound": np.stack([tone] * kept),
        "text/captions_target": np.array(lines),
        "embedding/image": axis,
        "embedding/caption": captions,
        "embedding/waveform": axis[:, ::-1].copy(),
        "number/caption_ids": ids,
        "number/tag_scores": np.where(np.arange(3)[None] == 2, 0.9, truth * 0.5).astype(np.float32),
        "number/tag_truth": truth,
    }


def drawn(kept=5, side=16, codes=4, ends=True):
    """Pictures drawn for captions: of example n all codes are of grey 10 n + code, and the real picture is 200 + n."""
    tokens = [["a", word, "<bell>", "<end>", ""] for word in ("red", "blue")] + [["a", "drum", "<end>", "", ""]]
    spelled = np.array([tokens[n % 3] for n in range(2 * kept)], "S8")
    grey = 10 * np.arange(kept)[:, None] + np.arange(codes)[None]
    strip = np.repeat(grey, side, axis=1)[:, None, :, None]
    strip = np.broadcast_to(strip, (kept, side, codes * side, 3)).astype(np.uint8)
    real = np.broadcast_to(np.arange(200, 200 + kept)[:, None, None, None], (kept, side, side, 3)).astype(np.uint8)
    found = {
        "image/generated": strip[:, :, :side],
        "image/codes": strip,
        "image/between_captions": strip,
        "image/between_codes": strip,
        "image/real": real,
        "text/caption_target": spelled,
        "number/features_drawn": np.zeros((2 * kept, 5)),
    }
    return found | ({"text/between_captions": np.roll(spelled, -1, axis=0)} if ends else {})


def game(steps=100, every=5):
    """metrics.jsonl of two players."""
    for step in range(every, steps + 1, every):
        values = {"loss/disc": 1.5 - step / 200, "loss/gen": 0.5 + step / 100, "grad_norm/disc": 1.0}
        values |= {"grad_norm/gen": 2.0, "diversity": 0.75, "steps_per_second": 4.0}
        values |= {f"disc_right/{name}": share for name, share in (("real", 0.9), ("drawn", 0.8), ("mismatched", 0.7))}
        yield {"step": step, "kind": "train", "time": 1.7e9 + step, "values": values}


def ranked():
    """Two likeliest of many answers a question, with their names; the third question's answer is no class."""
    said = np.array([[b"red", b"blue"], [b"no", b"yes"], [b"blue", b"two"]])
    truth = np.array([b"blue", b"no", b""])
    scores = np.array([[0.6, 0.3], [0.2, 0.7], [0.5, 0.1]], np.float32)  # the second list is not in order
    return {"scores/answer": scores, "text/answer": said, "text/answer_target": truth}
