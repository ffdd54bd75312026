"""Words per second and quality of skip-gram against gensim's, on the same text, settings and cores.

    pip install 'mmjax[benchmark]' && apt install dict-gcide wordnet-base
    python benchmarks/skipgram.py [--quick] [--learning-rate RATE] [--epochs N] [--output FILE]

The corpus is the text of Debian's GCIDE and WordNet, 6.6 million words. gensim trains with two workers on sentences
held in memory, so that no reader holds it up. Epochs of the two alternate, so that both meet the same machine; words
are those of the text, before rare and frequent ones are left out, as gensim counts them. Vocabulary and encoding are
timed apart. Settings: 100 dimensions, window 5, 5 negatives, sample 1e-4, min_count 5, 5 epochs.

Learning rates are each side's own: gensim's default 0.025 and 0.05 here. `--gensim-rate` tries another.
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

HERE = pathlib.Path(__file__).parent
GCIDE = pathlib.Path("/usr/share/dictd/gcide.dict.dz")
WORDNET = pathlib.Path("/usr/share/wordnet")
RESTRICT = 30_000


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the text, one epoch: ends within a minute")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, default=0.05, help="of mmjax")
    parser.add_argument("--gensim-rate", type=float, default=0.025)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--override", nargs="*", default=[], metavar="FIELD=INTEGER", help="of mmjax's config")
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "results" / "skipgram.json")
    options = parser.parse_args()
    for package, hint in (("gensim", "pip install 'mmjax[benchmark]'"),):
        if importlib.util.find_spec(package) is None:
            raise SystemExit(f"benchmarks/skipgram.py needs {package}: {hint}")
    if not GCIDE.exists() or not WORDNET.exists():
        raise SystemExit("benchmarks/skipgram.py needs the corpus: apt install dict-gcide wordnet-base")
    epochs = 1 if options.quick else options.epochs
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMJAX_CACHE"] = folder  # so that encoding is done, and timed, in this run
        corpus = pathlib.Path(folder) / "corpus.txt"
        words = write_corpus(corpus, every=5 if options.quick else 1)
        compare(corpus, words, epochs, options)


def compare(corpus: pathlib.Path, words: int, epochs: int, options: argparse.Namespace) -> None:
    """Trains both, epoch by epoch in turn, and prints and writes the figures."""
    ours, theirs = (
        Ours(corpus, epochs, options.learning_rate, options.seed, options.override),
        Theirs(corpus, epochs, options.gensim_rate),
    )
    print(f"{words:,} words; vocabulary of {len(ours.words):,} words here, {len(theirs.model.wv):,} in gensim")
    print(f"vocabulary: gensim {theirs.scan:.2f} s; vocabulary and encoding: mmjax {ours.scan:.2f} s")
    ours.warm()
    for epoch in range(epochs):
        for side in (theirs, ours) if epoch % 2 else (ours, theirs):
            side.epoch(epoch)
        print(
            f"epoch {epoch + 1}: mmjax {words / ours.seconds[-1] / 1e6:.2f} M words/s, "
            f"gensim {words / theirs.seconds[-1] / 1e6:.2f}, load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    ratios = [a / b for a, b in zip(theirs.seconds, ours.seconds)]
    scores = {"mmjax": evaluate(ours.vectors()), "gensim": evaluate(theirs.model.wv)}
    rates = {name: words / statistics.median(s.seconds) for name, s in (("mmjax", ours), ("gensim", theirs))}
    scans = {"mmjax": ours.scan, "gensim": theirs.scan}
    for name in scores:
        shown = "  ".join(f"{figure} {value:.4f}" for figure, value in scores[name].items())
        print(f"{name:<7} {rates[name] / 1e6:6.2f} M words/s  {shown}")
    content = {
        "words_per_second": rates,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "vocabulary_seconds": scans,
        "scores": scores,
        "words": words,
        "epochs": epochs,
        "learning_rates": {"mmjax": options.learning_rate, "gensim": options.gensim_rate},
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
    }
    if not options.quick:
        options.output.parent.mkdir(exist_ok=True)
        options.output.write_text(json.dumps(content, indent=2) + "\n")
    print(f"ratio {scans['gensim'] / scans['mmjax']:.2f} vocabulary (and, here, encoding): mmjax over gensim")
    print(f"ratio {content['ratio']:.2f} words per second of skip-gram training: mmjax over gensim, two workers")


class Theirs:
    """gensim with two workers, one epoch at a time."""

    def __init__(self, corpus: pathlib.Path, epochs: int, rate: float):
        from gensim.models import Word2Vec

        self.corpus, self.epochs, self.rate = corpus, epochs, rate
        self.model = Word2Vec(vector_size=100, window=5, negative=5, sample=1e-4, min_count=5, sg=1, workers=2, seed=1)
        began = time.perf_counter()
        self.model.build_vocab(corpus_file=str(corpus))
        self.scan = time.perf_counter() - began
        self.seconds: list[float] = []
        self.lines = [line.split() for line in corpus.open()]  # in memory, so that its reader cannot hold it up

    def epoch(self, number: int) -> None:
        """One epoch, the rate falling as over the whole run."""
        ends = [self.rate * max(1 - n / self.epochs, 1e-4) for n in (number, number + 1)]
        began = time.perf_counter()
        self.model.train(
            corpus_iterable=self.lines,
            total_examples=self.model.corpus_count,
            epochs=1,
            start_alpha=ends[0],
            end_alpha=ends[1],
        )
        self.seconds.append(time.perf_counter() - began)


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
        config.update_from_flattened_dict({k: int(v) for k, v in (pair.split("=") for pair in override)})
        began = time.perf_counter()
        encoded = text.corpus(str(corpus), splitter="whitespace", min_count=5)
        self.scan = time.perf_counter() - began
        self.words, self.counts = encoded.words, encoded.counts
        task = systems.build(config)
        self.source = data.open("train", task.fields, **config.data)
        self.per_epoch = max(round(len(self.source) / config.batch_size), 1)
        config.steps = self.per_epoch * epochs
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
        """As many steps as make an epoch."""
        import jax

        del number
        jax.block_until_ready(self.state)
        began = time.perf_counter()
        for _ in range(self.per_epoch):
            self.state, _ = self.call(self.state, self.placement.put(next(self.batches)), self.key)
        jax.block_until_ready(self.state)
        self.seconds.append(time.perf_counter() - began)

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
