"""Features on disk: what is read is what was written, a damaged part is missing, and examples find their rows."""

import pickle

import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.data import stored_features
from mmjax.data.stored_features import Featured, Rows, Store

ROW = np.dtype([("features", jnp.bfloat16, (2, 3)), ("number", np.int32), ("index", np.int64)], align=True)


def values(rows, rng):
    made = np.zeros(rows, ROW)
    made["features"] = rng.normal(size=(rows, 2, 3)).astype(jnp.bfloat16)
    made["number"], made["index"] = rng.integers(0, 99, rows), np.arange(rows)
    return made


@pytest.fixture
def stored(tmp_path, monkeypatch, rng):
    """(a store of 10 rows in parts of 4, what it holds)."""
    monkeypatch.setattr(stored_features, "PART", 5 * ROW.itemsize)
    store, made = Store(tmp_path / "there", ROW, 10, batch=2), values(10, rng)
    assert [*store.missing()] == [range(0, 4), range(4, 8), range(8, 10)]  # a multiple of the batch
    for rows in store.missing():
        store.write(rows.start, made[rows.start : rows.stop])
    return store, made


def test_what_is_read_is_what_was_written_in_another_process_too(stored):
    store, made = stored
    assert [*store.missing()] == []
    assert store[9]["features"].dtype == jnp.bfloat16
    for reader in (store, pickle.loads(pickle.dumps(store)), Store(store.folder, ROW, 10, 2)):
        for row in (0, 3, 4, 9):
            for name in ROW.names:
                np.testing.assert_array_equal(reader[row][name], made[row][name])
    assert len(pickle.dumps(store)) < 1500  # the files, and not what is in them


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_only_the_damaged_part_is_missing(stored, harm):
    store, _ = stored
    path = sorted(store.folder.iterdir())[1]
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    {"flip": lambda: path.write_bytes(content), "cut": lambda: path.write_bytes(content[:-1]), "remove": path.unlink}[
        harm
    ]()
    assert [*store.missing()] == [range(4, 8)]


def test_what_a_killed_run_left_is_removed_and_what_is_being_written_is_not(stored, monkeypatch):
    store, _ = stored
    part = store.folder / "000000000.7.part"
    part.write_bytes(b"half")
    store.clean()
    assert part.exists()
    monkeypatch.setattr(stored_features, "ABANDONED", -1.0)
    store.clean()
    assert not part.exists()
    assert len([*store.folder.iterdir()]) == 3


class Numbers:
    """Labels, and with a generator a draw of it."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return {"label": np.int32(10 * index)}

    def draw(self, index, rng):
        return {"label": np.int32(10 * index + rng.integers(1, 9))}


def test_examples_share_rows_and_a_damaged_one_is_another(stored):
    store, made = stored
    # Examples 0, 2, 4 have one picture, 1, 3, 5 others; that of 3 is damaged, and 4 was given in its place.
    changed = made[:4].copy()
    changed["index"] = [0, 1, 4, 5]
    store.write(0, changed)
    source = Featured(Numbers(), store, np.array([0, 1, 3, 5]), np.array([0, 1, 0, 2, 0, 3]), "image")
    seen = [source[i] for i in range(6)]
    assert [int(example["label"]) for example in seen] == [0, 10, 20, 40, 40, 50]
    assert [int(example["image_number"]) for example in seen] == [made["number"][row] for row in (0, 1, 0, 2, 0, 3)]
    assert set(seen[0]) == {"label", "image_features", "image_number"}
    assert 40 < source.draw(3, np.random.default_rng(0))["label"] < 49
    assert Rows(Numbers(), np.array([5, 2]))[1]["label"] == 20
