"""Skip-gram as a whole: its step against a loop over pairs, devices, resuming, memory, and what it learns."""

import csv
import importlib.util
from pathlib import Path

import children
import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax import data, systems, tools
from mmjax.data import pipeline
from mmjax.data.sets import text
from mmjax.engine import loop, mesh, optim, prepare, step
from mmjax.errors import UserError
from mmjax.models.text.skipgram import OBJECTIVES, Sampling, SkipGram
from mmjax.systems import skipgram
from mmjax.task import bind
from mmjax.tools import words

ROOT = Path(__file__).parent.parent.parent
KEY = jax.random.key(5)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMJAX_CACHE", str(tmp_path / "cache"))
    text.corpus.cache_clear()


def make(path, **changes):
    """The tiny config on a file."""
    spec = importlib.util.spec_from_file_location("skipgram", ROOT / "configs" / "skipgram.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config("tiny")
    config.update_from_flattened_dict(
        {"data.path": str(path), "data.shown": (), "data.pairs": (), "data.min_count": 1, "data.tokens": 64, **changes}
    )
    return config


@pytest.fixture
def corpus(tmp_path):
    """Three topics of ten words each, by turns: words of a topic stand together."""
    rng = np.random.default_rng(0)
    topics = [[f"{topic}{chr(97 + n)}" for n in range(10)] for topic in ("sea", "sky", "mud")]
    lines = [" ".join(rng.choice(topics[n % 3], 12)) for n in range(1500)]
    path = tmp_path / "topics.txt"
    path.write_text("\n".join(lines))
    return path


def prepared(config, steps=4, placement=None):
    """State and figures after some steps, on one device unless a placement says where."""
    task = systems.build(config)
    optimisers = optim.of(task, config.optim, config.steps)
    source = data.open("train", task.fields, **config.data)
    batch = {**prepare.example_batch(source, config), **source.constants}
    state = jax.jit(bind(step.create, task, optimisers))(KEY, batch)
    one = bind(step.train_step, task, optimisers)
    batches = pipeline.train_batches(source, config.batch_size, config.seed, 0, **config.loader)
    if placement is None:
        call, put = jax.jit(one), mesh.numeric
    else:
        state = placement.place(state)
        call, put = placement.compile(one, state), placement.put
    for _ in range(steps):
        state, logs = call(state, put(next(batches)), KEY)
    return (state if placement is None else placement.single(state)), logs


def tables(state):
    return {name: np.asarray(value) for name, value in state.params["tables"].items()}


def test_the_networks_size_and_first_values():
    model = SkipGram(1000, 50)
    made = model.init(KEY, jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, 1), jnp.int32))["params"]
    assert sum(x.size for x in jax.tree.leaves(made)) == 2 * 1000 * 50
    assert abs(made["words"]).max() <= 0.5 / 50
    assert float(made["words"].std()) == pytest.approx(1 / 50 / np.sqrt(12), rel=0.02)
    assert not made["contexts"].any()
    scores = model.apply({"params": made}, jnp.array([[3]]), jnp.array([[4, 5]]))
    assert scores.shape == (1, 1, 2)


def test_a_micro_step_is_a_loop_over_pairs(rng):
    """Windows, band, weights, gradients and sums of repeated rows, all against word2vec's update written out."""
    sampling = Sampling(window=2, negatives=3, block=4, shared=2)
    v, d, rate = 7, 3, 0.1
    before = {
        "words": rng.normal(size=(v, d)).astype(np.float32),
        "contexts": rng.normal(size=(v, d)).astype(np.float32),
    }
    frozen = {"noise": jnp.int32(rng.integers(0, v, 2**8)), "counts": jnp.ones(v, jnp.int32)}
    batch = {
        "tokens": jnp.int32(rng.integers(0, v, (2, 8))),
        "sentence": jnp.int32([[0] * 5 + [1] * 3, [0] * 6 + [-1] * 2]),
    }
    variables = {"params": {"tables": jax.tree.map(jnp.array, before)}, "state": {}, "frozen": frozen}
    cut = jax.jit(bind(skipgram.cut, sampling))(variables, batch, KEY)
    assert cut["window"].shape == (2, 2, 8)  # two micro-steps of two blocks with halos of two
    micro = {name: value[1] for name, value in cut.items()}
    indices, micro = jax.jit(bind(skipgram.pick, sampling))(variables, micro, KEY)
    update = skipgram.build(make("x")).updates[0]
    assert set(indices) == set(before)

    def loss(rows):
        return skipgram.loss(sampling, {**variables, "params": {"tables": rows}}, micro, KEY)[0]

    gradient = jax.jit(jax.grad(loss))({k: jnp.array(before[k])[at] for k, at in indices.items()})
    found, _ = optim.make_rows("sgd", rate, 1).update(
        variables["params"]["tables"], {}, indices, gradient, jnp.float32(0)
    )
    assert update.group == "tables"
    after = {k: x.astype(np.float64) for k, x in before.items()}
    for b in range(2):
        for i in range(4):
            at, centre = 4 + i, int(batch["tokens"][b, 4 + i])
            for j in range(8):
                near = 0 < abs(j - at) <= int(micro["radius"][b, i])
                if not near or batch["sentence"][b, j] != batch["sentence"][b, at] or batch["sentence"][b, at] < 0:
                    continue
                context = int(batch["tokens"][b, j])
                noise = [(int(n), 0.0, 3 / 2) for n in micro["noise"][b] if int(n) != context]
                for word, label, weight in [(context, 1.0, 1.0), *noise]:
                    x, y = before["words"][centre], before["contexts"][word]
                    g = rate * weight * (label - 1 / (1 + np.exp(-np.float64(x @ y))))
                    after["words"][centre] += g * y
                    after["contexts"][word] += g * x
    for name in before:
        np.testing.assert_allclose(found[name], after[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_words_that_stand_together_come_together(corpus, objective):
    # 30 words meet each other all the time: sums of a micro-step over so few rows need a smaller rate
    changes = {"sampling.objective": objective, "steps": 40, "optim.tables.learning_rate": 0.004, "data.sample": 0.0}
    state, logs = prepared(make(corpus, **changes), steps=40)
    spelt, vectors = skipgram.vectors(state.variables)
    assert [len(words.near(spelt[:n], vectors[:n], spelt[0])) for n in (3, 40)] == [2, 8]  # never the word itself
    hits = sum(words.near(spelt, vectors, word, 1)[0][0][:3] == word[:3] for word in spelt)
    assert hits >= 29  # of 30, by chance 9
    start = 6 * np.log(2) if objective == "negative_sampling" else np.log(30)
    assert float(logs["loss/tables"]) < start - 0.5


def test_a_random_cut_keeps_every_word_in_its_order(rng):
    sampling = Sampling(window=3, block=8, shared=2, overlap=False)
    batch = {"tokens": jnp.int32(rng.integers(0, 90, (3, 37))), "sentence": jnp.zeros((3, 37), jnp.int32)}
    variables = {"frozen": {"noise": jnp.zeros(2**8, jnp.int32)}}
    firsts = set()
    for seed in range(40):
        found = jax.jit(bind(skipgram.cut, sampling))(variables, batch, jax.random.key(seed))
        words, inside = (np.moveaxis(np.asarray(found[k]), 0, 1).reshape(3, -1) for k in ("window", "sentence"))
        assert found["window"].shape[2] == 8  # no word of a neighbour
        for row in range(3):
            np.testing.assert_array_equal(words[row][inside[row] == 0], batch["tokens"][row])
        firsts.add(int(np.argmax(inside[0] == 0)))
        assert {1, 2, 3} == set(np.unique(found["radius"]))
    assert firsts == set(range(8))  # every place of the cut occurs


def test_the_curves_loss_is_of_pairs_and_not_of_padding(corpus):
    # 129 micro-steps a text, of which three are measured; the last one holds nothing but padding
    changes = {"data.tokens": 4096, "data.sample": 0.0, "sampling.overlap": False, "optim.tables.learning_rate": 0.0}
    _, logs = prepared(make(corpus, **changes), steps=1)
    # vectors at zero: 1 + 5 times log 2, but for noise that is the pair's own context, one word of 30
    assert float(logs["loss/tables"]) == pytest.approx((6 - 5 / 30) * np.log(2), abs=0.04)


def test_the_same_seed_gives_the_same_vectors(corpus):
    first, again = (tables(prepared(make(corpus))[0]) for _ in range(2))
    assert all((first[name] == again[name]).all() for name in first)
    other = tables(prepared(make(corpus, seed=1))[0])
    assert (first["words"] != other["words"]).any()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("model_axis", [1, 2])
def test_eight_devices_agree_with_one(corpus, objective, model_axis, monkeypatch):
    monkeypatch.setattr(mesh, "LARGE", 64)  # so that the tables' rows are split over the model axis
    config = make(corpus, **{"sampling.objective": objective})
    one, logs = prepared(config)
    eight, their_logs = prepared(config, placement=mesh.Jitted(model_axis))
    for name, value in tables(one).items():
        np.testing.assert_allclose(tables(eight)[name], value, rtol=1e-4, atol=1e-6)
    assert float(their_logs["loss/tables"]) == pytest.approx(float(logs["loss/tables"]), rel=1e-5)
    if model_axis == 2:
        shards = {shard.data.shape[0] for shard in eight.params["tables"]["words"].addressable_shards}
        assert shards == {15}  # of 30 rows


def test_copies_under_pmap_stay_equal(corpus):
    placement = mesh.Replicated()
    config = make(corpus)
    task = systems.build(config)
    optimisers = optim.of(task, config.optim, config.steps)
    source = data.open("train", task.fields, **config.data)
    batch = {**prepare.example_batch(source, config), **source.constants}
    state = placement.place(jax.jit(bind(step.create, task, optimisers))(KEY, batch))
    call = placement.compile(bind(step.train_step, task, optimisers), state)
    batch = next(pipeline.train_batches(source, 8, 0, 0))
    state, _ = call(state, placement.put(batch), KEY)
    for table in state.params["tables"].values():
        copies = np.asarray(table)
        assert (copies == copies[:1]).all()
    assert np.asarray(state.params["tables"]["contexts"]).any()


@pytest.mark.usefixtures("no_page")
def test_resumed_is_straight(corpus, tmp_path):
    straight = loop.run(make(corpus, steps=6), tmp_path / "straight")
    loop.run(make(corpus, steps=3, **{"optim.tables.decay": "none"}), tmp_path / "parts")
    parts = loop.run(make(corpus, steps=6, **{"optim.tables.decay": "none"}), tmp_path / "parts")
    level = loop.run(make(corpus, steps=6, **{"optim.tables.decay": "none"}), tmp_path / "level")
    assert parts == level
    assert straight != level


@pytest.mark.usefixtures("no_page")
def test_figures_of_pairs_and_analogies_beside_chance_with_coverage(corpus, tmp_path):
    (tmp_path / "near.tsv").write_text("seaa\tseab\t9\nseaa\tskya\t1\nmuda\tmudb\t8\nmuda\tnone\t8\n")
    (tmp_path / "asked.txt").write_text("seaa seab skya skyb\nseaa seab skya none\n")
    changes = {"data.pairs": (f"{tmp_path}/near.tsv",), "data.questions": (f"{tmp_path}/asked.txt",)}
    figures = loop.run(make(corpus, **changes, steps=3), tmp_path / "run")
    assert figures["near_coverage"] == pytest.approx(0.75)
    assert figures["asked_coverage"] == pytest.approx(0.5)
    assert figures["asked/chance"] == pytest.approx(1 / 27)
    assert figures["pair_loss/untrained"] == pytest.approx(6 * np.log(2))
    assert figures["pair_loss"] < figures["pair_loss/untrained"]


@pytest.mark.usefixtures("no_page")
def test_the_vectors_of_a_run_reach_other_tools(corpus, tmp_path, capsys):
    loop.run(make(corpus, steps=3), tmp_path / "run")
    capsys.readouterr()
    assert tools.run("predict", [str(tmp_path / "run")]) == 0
    row = next(csv.DictReader(capsys.readouterr().out.splitlines()))  # says whose neighbours they are
    assert words.near(*words.load(str(tmp_path / "run")), row["words"])[0][0] == row["neighbours"].split()[0]
    assert tools.run("words", [str(tmp_path / "run"), "--near", "seazz"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert tools.run("words", [str(tmp_path / "run")]) == 2
    assert "say what to do" in capsys.readouterr().err
    assert tools.run("words", [str(tmp_path / "run"), str(tmp_path / "v.bin"), "--near", "seaa"]) == 0
    keyed = pytest.importorskip("gensim.models").KeyedVectors.load_word2vec_format(tmp_path / "v.bin", binary=True)
    spelt, vectors = words.load(str(tmp_path / "run"))
    assert keyed.index_to_key == spelt
    np.testing.assert_array_equal(keyed.vectors, vectors)
    shown = capsys.readouterr().out.splitlines()[-1]
    nearest = keyed.most_similar("seaa", topn=1)[0]
    assert shown.startswith(f"seaa: {nearest[0]} {nearest[1]:.2f}")


def test_a_million_words_of_300_dimensions_fit():
    """The whole step at that size, compiled: beside the tables, changed in place, it needs little."""
    config = make("x", **{"model.dim": 300, "batch_size": 32})
    task = systems.build(config)
    optimisers = optim.of(task, config.optim, 10)
    v, n = 1_000_000, 512
    example = {
        "tokens": np.zeros((32, n), np.int32),
        "sentence": np.zeros((32, n), np.int32),
        "index": np.zeros(32, np.int32),
    }
    about = {"word_counts": (v,), "word_spelling": (v, 32), "shown": (100,)}
    dtypes = {"word_spelling": jnp.uint8}
    constants = {k: jax.ShapeDtypeStruct(s, dtypes.get(k, jnp.int32)) for k, s in about.items()}
    state = jax.eval_shape(bind(step.create, task, optimisers), KEY, {**example, **constants})
    assert sum(x.size for x in jax.tree.leaves(state.params)) == 600_000_000
    lowered = jax.jit(bind(step.train_step, task, optimisers), donate_argnums=0).lower(state, example, KEY)
    used = lowered.compile().memory_analysis()
    assert used.alias_size_in_bytes >= 2.4e9  # both tables, in place
    assert used.temp_size_in_bytes < 0.1e9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampling.objective": "hierarchical"}, "choose negative_sampling or full_softmax"),
        ({"sampling.window": 0}, "config.sampling.window is 0"),
        ({"sampling.replicas": 3}, "power of two"),
        (
            {"sampling.replicas": 16, "batch_size": 24},
            "config.batch_size is 24, which does not divide by the 16 copies",
        ),
        ({"model.dim": 0}, "config.model.dim is 0"),
        ({"optim.tables.name": "adam"}, "choose sgd or adagrad"),
    ],
)
def test_mistakes_are_told_in_words(corpus, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        prepare.prepare(make(corpus, **changes), tmp_path / "run")


def test_two_builds_are_one_task(corpus):
    one, two = systems.build(make(corpus)), systems.build(make(corpus))
    assert one == two
    assert hash(one) == hash(two)
    assert one != systems.build(make(corpus, **{"sampling.window": 3}))


@pytest.mark.parametrize("content", [b"", b"one two", b"caf\xe9 " * 50])
def test_bad_text_is_told_in_one_line(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.txt") as told:
        prepare.prepare(make(tmp_path / "a.txt", **{"data.min_count": 5}), tmp_path / "run")
    assert len(str(told.value).splitlines()) == 1


def test_bad_text_gives_one_line_and_no_traceback(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 " * 50)
    flags = ["--config=configs/skipgram.py:text", f"--config.data.path={tmp_path}/a.txt", f"--workdir={tmp_path}/run"]
    done = children.python("train.py", *flags)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "a.txt" in done.stderr
