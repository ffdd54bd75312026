"""Pictures in units: the sentences that captioning reads, by hand; and figures by hand."""

import jax
import numpy as np
import pytest
from shared import get_config, tiny_run

from mmjax.metrics import caption
from mmjax.systems.spoken import image_to_units
from mmjax.systems.spoken.image_to_units import Spoken

FIRST = image_to_units.FIRST


def test_true_units_are_a_caption():
    batch = {"units": np.array([[5, 7, 7, 0, 0], [1, 2, 3, 4, 5]], np.int32), "units_length": np.int32([3, 5])}
    found = Spoken(None, 1, 5).captioned({}, batch)
    assert found["caption_tokens"].tolist() == [
        [FIRST + 5, FIRST + 7, FIRST + 7, 2, 0],
        [FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 4, 2],
    ]  # 2 ends; the second is cut
    assert found["caption_tokens_length"].tolist() == [4, 5]
    assert Spoken(None, 1, 7).captioned({}, batch)["caption_tokens"][1].tolist()[5:] == [2, 0]
    assert Spoken(None, 1, 5).captioned({}, {"image": 1}) == {"image": 1}


def test_units_of_a_run_are_a_caption():
    workdir = str(tiny_run("units").workdir)
    config = get_config("image_to_units")
    config.units, config.seconds = workdir, 2.0
    task = image_to_units.build(config)
    assert task.fields == ("image", "speech", "speech_length")
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 255, (2, 32, 32, 3)).astype(np.uint8),
        "speech": rng.integers(-9000, 9000, (2, 44_100)).astype(np.int16),
        "speech_length": np.array([44_100, 20_000], np.int32),
        "valid": np.ones(2, bool),
    }
    variables = task.fill(jax.jit(task.init)(jax.random.key(0), batch), {})
    names = variables["frozen"]["caption_vocabulary"]
    assert names.shape[0] == FIRST + 8
    spoken = task.predict.arguments[1]
    found = jax.jit(spoken.captioned)(variables["frozen"], batch)
    hear = jax.jit(spoken.run.units, static_argnums=3)
    units, count = hear(variables["frozen"]["hearing"], batch["speech"], batch["speech_length"], 24)
    length = min(int(count[1]), 23)
    assert found["caption_tokens"][1].tolist()[: length + 1] == [*(np.asarray(units)[1, :length] + FIRST).tolist(), 2]
    start, step = task.writing.start, task.writing.step
    memory, state = jax.eval_shape(start, variables, {"image": batch["image"]})
    after, logits = jax.eval_shape(step, variables, memory, state, batch["speech_length"])
    assert after == state
    assert logits.shape == (2, FIRST + 8)
    assert task.writing.search["max_length"] == spoken.length
    value, _ = jax.jit(task.updates[0].loss)(variables, batch, jax.random.key(0))
    assert np.isfinite(value)


def test_figures_by_hand():
    rows = {
        "caption": [[b"b", b"ee", b"", b""], [b"d", b"o", b"<end>", b""]],
        "caption_target": [[b"b", b"ee", b"<end>", b""], [b"d", b"o", b"g", b"<end>"]],
    }
    rows |= dict.fromkeys(("sampled", "most_frequent", "random", "nearest_picture"), rows["caption"][::-1])
    predictions = {f"text/{name}": np.array(value) for name, value in rows.items()}
    found = image_to_units.score(predictions, {})
    said, true = [["b", "ee"], ["d", "o"]], [[["b", "ee"]], [["d", "o", "g"]]]
    assert found["rouge_l"] == pytest.approx(np.mean(caption.rouge_l(said, true)))
    assert found["cider_d"] == pytest.approx(np.mean(caption.cider_d(said, true)))
    assert found["bleu4"] == caption.bleu(said, true)[3]
    assert found["rouge_l_sampled"] == found["rouge_l/nearest_picture"] == 0
    assert image_to_units.score({"text/caption": rows["caption"]}, {}) == {}
