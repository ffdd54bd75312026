"""Words per second and quality of skip-gram: mmjax, gensim, fastText and word2vec.c on the same text and cores.

    pip install 'mmjax[benchmark]' fasttext && apt install dict-gcide wordnet-base
    python benchmarks/skipgram.py [--quick] [--epochs N] [--rates RATE ...] [--skip PEER ...] [--output FILE]

The corpus is the text of Debian's GCIDE and WordNet, 6.6 million words. All have two threads and 100 dimensions,
window 5, 5 negatives, sample 1e-4, min_count 5. Each side trains at every rate; of each the better is taken: the most
of WordSim-353, SimLex-999 and analogies together. Epochs of mmjax and gensim alternate, so that both meet the same
machine; fastText and word2vec.c train in one go (`_skipgram_peers.py`). A rate's words per second are the median of its
epochs; words are those of the text, before rare and frequent ones are left out. Vocabulary and encoding are timed
apart.

A processor without AVX-512 is imitated, but for XLA's matrix products (findings/xla_max_isa_products.sh), by
XLA_FLAGS=--xla_cpu_max_isa=AVX2 OPENBLAS_CORETYPE=Haswell, and fastText installed with CFLAGS=-mno-avx512f; word2vec.c
is then compiled so here.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import importlib.util
import json
import os
import pathlib
import platform
import re
import statistics
import tempfile
import time

import _side_by_side as side_by_side
import _skipgram_peers as peers

HERE = pathlib.Path(__file__).parent
GCIDE = pathlib.Path("/usr/share/dictd/gcide.dict.dz")
WORDNET = pathlib.Path("/usr/share/wordnet")
RESTRICT = 30_000
FIGURES = ("wordsim353", "simlex999", "analogies")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the text, one epoch: ends within a minute")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.025, 0.05], help="of every side")
    parser.add_argument("--skip", nargs="*", default=[], choices=list(peers.WHOLE))
    parser.add_argument("--fasttext-epochs", type=int, help="fewer than --epochs: it is much the slowest")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--override", nargs="*", default=[], metavar="FIELD=JSON", help="of mmjax's config")
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "results" / "skipgram.json")
    options = parser.parse_args()
    for package, hint in (("gensim", "pip install 'mmjax[benchmark]'"),):
        if importlib.util.find_spec(package) is None:
            raise SystemExit(f"benchmarks/skipgram.py needs {package}: {hint}")
    if not GCIDE.exists() or not WORDNET.exists():
        raise SystemExit("benchmarks/skipgram.py needs the corpus: apt install dict-gcide wordnet-base")
    epochs, options.load = 1 if options.quick else options.epochs, side_by_side.load()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMJAX_CACHE"] = folder  # so that encoding is done, and timed, in this run
        corpus = pathlib.Path(folder) / "corpus.txt"
        words = write_corpus(corpus, every=5 if options.quick else 1)
        compare(corpus, words, epochs, options)


def compare(corpus: pathlib.Path, words: int, epochs: int, options: argparse.Namespace) -> None:
    """Trains all sides at all rates, and prints and writes the figures."""
    tried: dict[str, list[dict]] = {}
    scans: dict[str, float] = {}
    for rate in options.rates:
        ours = Ours(corpus, epochs, rate, options.seed, options.override)
        theirs = peers.Gensim(corpus, epochs, rate)
        ours.warm()
        for epoch in range(epochs):
            for side in (theirs, ours) if epoch % 2 else (ours, theirs):
                side.epoch(epoch)
        scans = scans or {"mmjax": ours.scan, "gensim": theirs.scan}  # the first time: afterwards mmjax's are on disk
        vectors = {"mmjax": ours.vectors(), "gensim": theirs.model.wv}
        seconds = {"mmjax": ours.per_epoch_seconds(), "gensim": theirs.seconds}
        for name in vectors:
            note(tried, name, rate, words, epochs, seconds[name], vectors[name])
    for name in peers.WHOLE:
        peer = None if name in options.skip else peers.whole(name, corpus, ours.words)
        own = (name == "fastText" and options.fasttext_epochs) or epochs
        for rate in options.rates if peer else ():
            found, taken = peer.train(min(own, epochs), rate)
            note(tried, name, rate, words, min(own, epochs), [taken], found)
    best = {
        name: max(all_rates, key=lambda one: sum(one["scores"][f] for f in FIGURES))
        for name, all_rates in tried.items()
    }
    rates = {name: one["words_per_second"] for name, one in best.items()}
    fastest = max((name for name in rates if name != "mmjax"), key=rates.get)
    content = {
        "ratio": rates["mmjax"] / rates[fastest],
        "fastest_peer": fastest,
        "best": best,
        "tried": tried,
        "vocabulary_seconds": scans,
        "words": words,
        "epochs": epochs,
        "machine": {
            "processor": _processor(),
            "avx512": "XLA's matrix products alone" if peers.ONLY_AVX2 else "used, where there is any",
            "cores": os.cpu_count(),
            "load_before": options.load,
        },
    }
    if not options.quick:
        options.output.parent.mkdir(exist_ok=True)
        options.output.write_text(json.dumps(content, indent=2) + "\n")
    print(f"vocabulary: gensim {scans['gensim']:.2f} s; vocabulary and encoding: mmjax {scans['mmjax']:.2f} s")
    for name in (name for name in rates if name != "mmjax"):
        print(f"ratio {rates['mmjax'] / rates[name]:.2f} words per second of training: mmjax over {name}")
    for figure in FIGURES:
        most = max(best, key=lambda name: best[name]["scores"][figure])
        print(f"{figure}: most by {most}; mmjax {best['mmjax']['scores'][figure]:.4f}, {_others(best, figure)}")


def note(tried: dict, name: str, rate: float, words: int, epochs: int, seconds: list[float], vectors) -> None:
    """Adds what a side did at a rate, and prints it."""
    scores = evaluate(vectors)
    speed = words / statistics.median(seconds)
    one = {"rate": rate, "epochs": epochs, "words_per_second": speed, "seconds_of_an_epoch": seconds, "scores": scores}
    tried.setdefault(name, []).append(one)
    shown = "  ".join(f"{figure} {scores[figure]:.4f}" for figure in FIGURES)
    print(f"{name:<10} rate {rate:<6} {speed / 1e6:6.2f} M words/s  {shown}", flush=True)


def _others(best: dict, figure: str) -> str:
    return ", ".join(f"{name} {one['scores'][figure]:.4f}" for name, one in best.items() if name != "mmjax")


class Ours:
    """mmjax: the config, the stream and the step of `train.py`, without evaluation and checkpoints."""

    def __init__(self, corpus: pathlib.Path, epochs: int, rate: float, seed: int, override: list[str]):
        import jax

        from mmjax import data, systems
        from mmjax.data import pipeline
        from mmjax.data.sets import text
        from mmjax.engine import mesh, optim, prepare, step

        config = _config("large")
        jax.config.update("jax_num_cpu_devices", config.cpu_devices)
        config.data.update(path=str(corpus), splitter="whitespace", sample=1e-4, held_out=False)
        config.optim.tables.learning_rate = rate
        config.update_from_flattened_dict({k: json.loads(v) for k, v in (pair.split("=") for pair in override)})
        began = time.perf_counter()
        encoded = text.corpus(str(corpus), splitter="whitespace", min_count=5)
        self.scan = time.perf_counter() - began
        self.words, self.counts = encoded.words, encoded.counts
        task = systems.build(config)
        self.source = data.open("train", task.fields, **config.data)
        # An epoch is no whole number of steps: it ends at the nearest, and times count by the share of the text.
        self.share = config.batch_size / len(self.source)  # of an epoch, in a step
        self.ends = [round((epoch + 1) / self.share) for epoch in range(epochs)]
        config.steps = self.ends[-1]
        optimisers = optim.of(task, config.optim, config.steps)
        constants = self.source.constants
        seen = {**prepare.example_batch(self.source, config), **constants}
        self.placement, self.key = mesh.Jitted(), jax.random.key(seed)
        wanted = prepare.shapes(task, optimisers, self.key, seen, self.placement)
        create = functools.partial(prepare.create, task, optimisers, self.key, seen, wanted)
        self.fresh = lambda: prepare.fill(task, create(), constants, self.placement)
        self.state = self.fresh()
        self.call = self.placement.compile(functools.partial(step.train_step, task, optimisers), self.state)
        self.stream = lambda: pipeline.train_batches(self.source, config.batch_size, seed, 0, **config.loader)
        self.batches, self.seconds = self.stream(), []

    def warm(self) -> None:
        """Compiles, on one step that is then forgotten."""
        import jax

        jax.block_until_ready(self.call(self.state, self.placement.put(next(self.stream())), self.key))
        self.state = self.fresh()

    def epoch(self, number: int) -> None:
        """As many steps as end nearest to the end of the epoch."""
        import jax

        steps = self.ends[number] - (self.ends[number - 1] if number else 0)
        jax.block_until_ready(self.state)
        began = time.perf_counter()
        for _ in range(steps):
            self.state, _ = self.call(self.state, self.placement.put(next(self.batches)), self.key)
        jax.block_until_ready(self.state)
        self.seconds.append((time.perf_counter() - began) / steps)

    def per_epoch_seconds(self) -> list[float]:
        """Seconds that each epoch's steps would have taken for the text once."""
        return [seconds / self.share for seconds in self.seconds]

    def vectors(self):
        """As gensim's KeyedVectors: one evaluation for both."""
        import numpy as np
        from gensim.models import KeyedVectors

        keyed = KeyedVectors(100)
        keyed.add_vectors(self.words, np.asarray(self.state.params["tables"]["words"]))
        for word, count in zip(self.words, self.counts):
            keyed.set_vecattr(word, "count", int(count))
        return keyed


def evaluate(vectors) -> dict[str, float]:
    """WordSim-353 and SimLex-999 (Spearman) and analogies (3CosAdd), by gensim's own code and files."""
    from gensim.test.utils import datapath

    analogies, sections = vectors.evaluate_word_analogies(datapath("questions-words.txt"), restrict_vocab=RESTRICT)
    asked = sum(len(s["correct"]) + len(s["incorrect"]) for s in sections[:-1])
    out = {}
    for name, file in (("wordsim353", "wordsim353.tsv"), ("simlex999", "simlex999.txt")):
        _, spearman, unknown = vectors.evaluate_word_pairs(datapath(file))
        out |= {name: float(spearman.statistic), f"{name}_coverage": 1 - unknown / 100}
    return {**out, "analogies": float(analogies), "analogies_coverage": asked / 19544}


def write_corpus(path: pathlib.Path, every: int = 1) -> int:
    """Writes the dictionaries' text, an entry a line, in lower-case words; returns their number."""
    total = 0
    with path.open("w") as file:
        for number, entry in enumerate((*_gcide(), *_wordnet())):
            words = re.findall(r"[a-z]+", entry.lower())
            if len(words) > 1 and number % every == 0:
                file.write(" ".join(words) + "\n")
                total += len(words)
    return total


def _gcide():
    text = gzip.decompress(GCIDE.read_bytes()).decode("utf-8", "replace")
    text = re.sub(r"\[1913 Webster\]|\[WordNet 1\.5\]|\[PJC\]", " ", text)  # who wrote the entry
    text = re.sub(r"\\[^\\\n]*\\", " ", text)  # pronunciation
    return re.split(r"\n(?=\S)", text)


def _wordnet():
    for part in ("noun", "verb", "adj", "adv"):
        for line in (WORDNET / f"data.{part}").read_text().splitlines():
            if not line.startswith("  "):  # the licence
                head, _, gloss = line.partition("|")
                fields = head.split()
                names = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
                yield " ".join(name.replace("_", " ") for name in names) + " " + gloss


def _config(variant: str):
    found = importlib.util.spec_from_file_location("skipgram", HERE.parent / "configs" / "skipgram.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.get_config(variant)


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
