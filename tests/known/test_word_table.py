"""Word vectors of a skip-gram run, or of a file, as the first values of another system's embedding."""

import json

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax import systems
from mmjax.engine import checkpoint, prepare, step
from mmjax.engine import config as configs
from mmjax.errors import UserError, section
from mmjax.known import word_table
from mmjax.task import Task, Update
from mmjax.text import vocabulary
from mmjax.tools import words
from mmjax.weights import word_vectors

DIM = 8


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("MMJAX_CACHE", str(tmp_path / "cache"))


def reader(path: str) -> Task:
    """A task whose only parameters are an embedding of the captions' words."""

    def init(key, batch):
        spelled = batch["caption_vocabulary"]
        table = 0.1 * jax.random.normal(key, (spelled.shape[0], DIM))
        return {"params": {"net": {"words": table}}, "state": {}, "frozen": {"spelled": jnp.asarray(spelled)}}

    def fill(variables, constants):
        if not path:
            return variables
        with section("config.model"):
            tables = word_table.fill(variables["params"]["net"], constants["caption_vocabulary"], path)
        return {**variables, "params": {"net": tables}}

    def loss(variables, batch, key):
        return jnp.mean(variables["params"]["net"]["words"] ** 2), ({}, {})

    def metrics(variables, batch):
        return {"x": (jnp.float32(0), jnp.float32(1)), "x/y": (jnp.float32(0), jnp.float32(1))}

    fields = ("caption_tokens", "caption_tokens_length")
    return Task(fields, init, (Update("net", loss),), metrics, lambda v, b, k: {}, fill=fill)


def prepared(monkeypatch, workdir, path):
    config = configs.engine("toy")
    config.optim.net = configs.adam(1e-2)
    with config.data.unlocked():
        config.data.examples, config.data.tokens = 32, {"length": 25}
    monkeypatch.setattr(systems, "build", lambda config: reader(path))
    ready = prepare.prepare(config, workdir)
    ready.saver.close()
    return ready


def test_the_engine_fills_the_table_and_says_how_much(tmp_path, monkeypatch, rng, capsys):
    vectors = rng.normal(size=(3, DIM)).astype(np.float32)
    path = word_vectors.write(tmp_path / "v.txt", ["red", "blue", "zebra"], vectors)
    ready = prepared(monkeypatch, tmp_path / "run", str(path))
    spelled = np.asarray(ready.state.frozen["spelled"])
    known = vocabulary.words_of(spelled)
    table = np.asarray(ready.state.params["net"]["words"])
    plain = np.asarray(prepared(monkeypatch, tmp_path / "plain", "").state.params["net"]["words"])
    expected, share = word_vectors.initialise(plain, known, str(path))
    np.testing.assert_allclose(table, expected, rtol=1e-5)
    at = known.index("red")
    scale = np.sqrt(np.mean(plain**2)) / np.sqrt(np.mean(vectors**2))
    np.testing.assert_allclose(table[at], vectors[0] * scale, rtol=1e-5)
    np.testing.assert_array_equal(table[0], plain[0])
    said = capsys.readouterr().err
    assert said.count(f"v.txt has {2 / len(known):.1%} of the {len(known)} words") == 1
    assert share == pytest.approx(2 / len(known))


def test_mistakes_are_told_before_the_first_step(tmp_path, monkeypatch, rng):
    narrow = word_vectors.write(tmp_path / "n.txt", ["red"], np.ones((1, 3), np.float32))
    other = word_vectors.write(tmp_path / "o.txt", ["zebra"], np.ones((1, DIM), np.float32))
    for path, message in (
        (narrow, r"config\.model\.words=.*n\.txt has 3 dimensions, the embedding 8"),
        (other, r"config\.model\.words=.*o\.txt has not one of the \d+ words"),
        (tmp_path / "absent.txt", r"config\.model\.words=.*absent\.txt cannot be read: No such file"),
    ):
        with pytest.raises(UserError, match=message):
            prepared(monkeypatch, tmp_path / f"run-{path.stem}", str(path))


def test_several_tables_are_filled_at_once_and_stay_where_they_are(tmp_path, capsys):
    path = word_vectors.write(tmp_path / "v.txt", ["red"], np.ones((1, DIM), np.float32))
    mesh = jax.make_mesh((8,), ("d",))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "d"))
    fresh = {"one": jax.device_put(jnp.full((2, DIM), 3.0), split), "zeros": jnp.zeros((2, DIM))}
    filled = word_table.fill(fresh, vocabulary.spell(["blue", "red"]), str(path))
    np.testing.assert_allclose(filled["one"], np.full((2, DIM), 3.0), rtol=1e-6)
    np.testing.assert_array_equal(filled["zeros"], [[0.0] * DIM, [1.0] * DIM])
    assert filled["one"].sharding.is_equivalent_to(split, 2)
    assert capsys.readouterr().err.count("50.0% of the 2 words") == 1


def save(workdir, step_, table, known, system="skipgram"):
    """A skip-gram workdir's files, as the engine writes them."""
    workdir.mkdir(exist_ok=True)
    (workdir / "config.json").write_text(json.dumps({"system": system, "steps": 2}))
    tables = {"words": jnp.asarray(table), "contexts": jnp.zeros_like(table)}
    state = step.TrainState(jnp.int32(step_), {"tables": tables}, {}, {}, {"spelling": vocabulary.spell(known)})
    saver = checkpoint.Checkpoints(workdir)
    saver.save(step_, state)
    saver.save_frozen(state.frozen)
    saver.close()


def test_a_skip_gram_workdir_is_read_from_its_newest_checkpoint(tmp_path, monkeypatch, rng):
    known = ["blue", "grün", "red"]
    tables = rng.normal(size=(2, 3, DIM)).astype(np.float32)
    for step_, table in ((9, tables[0]), (10, tables[1])):
        save(tmp_path / "skipgram", step_, table, known)
    found, vectors = word_vectors.read(tmp_path / "skipgram")
    assert found == known
    np.testing.assert_array_equal(vectors, tables[1])
    assert words.load(str(tmp_path / "skipgram"))[0] == known
    ready = prepared(monkeypatch, tmp_path / "run", str(tmp_path / "skipgram"))
    index = vocabulary.words_of(np.asarray(ready.state.frozen["spelled"])).index("blue")
    row = np.asarray(ready.state.params["net"]["words"])[index]
    assert np.corrcoef(row, tables[1][0])[0, 1] == pytest.approx(1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"system": "soundnet", "steps": 1}')
    with pytest.raises(UserError, match="is a run of soundnet: it has no word vectors"):
        word_vectors.read(tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text('{"system": "skipgram", "steps": 1}')
    with pytest.raises(UserError, match="has no checkpoint"):
        word_vectors.read(tmp_path / "other")


def test_restoring_needs_no_file_of_words(tmp_path, monkeypatch):
    """What was trained comes from the checkpoint."""
    path = word_vectors.write(tmp_path / "v.txt", ["red"], np.ones((1, DIM), np.float32))
    ready = prepared(monkeypatch, tmp_path / "run", str(path))
    saver = checkpoint.Checkpoints(tmp_path / "run")
    saver.save(3, ready.state)
    saver.close()
    path.unlink()
    from mmjax.engine import restore

    again = restore.restore(tmp_path / "run")
    np.testing.assert_array_equal(again.variables["params"]["net"]["words"], ready.state.params["net"]["words"])
