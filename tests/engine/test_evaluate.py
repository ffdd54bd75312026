"""What the evaluation keeps for the report beside the predictions."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.engine import evaluate, mesh
from mmjax.task import Task


def test_text_references_of_the_gallery_are_kept_as_lines():
    several = np.empty(3, object)
    several[:] = [["a bell", "one bell"], ["a bird"], ["a car"]]
    kept = evaluate._shown({"captions": several, "caption": np.array(["x", "y", "z"], object), "label": np.ones(3)}, 2)
    assert set(kept) == {"text/captions_target", "text/caption_target"}
    assert kept["text/captions_target"].tolist() == ["a bell\none bell", "a bird"]
    assert kept["text/caption_target"].dtype.kind == "U"
    assert evaluate._shown({"captions": several}, 0) == {}


def test_the_figures_of_the_headline_come_first_each_with_its_baselines():
    figures = {"b": 1.0, "a/chance": 0.5, "a": 2.0, "c@1": 3.0, "c@1/x": 4.0, "c@10": 5.0}
    assert list(evaluate.in_order(figures, ("c@1", "gone", "b*"))) == ["c@1", "c@1/x", "b", "a/chance", "a", "c@10"]
    assert list(evaluate.in_order(figures, ())) == ["a/chance", "a", "b", "c@1", "c@1/x", "c@10"]


def test_what_it_will_give_is_told_by_the_trace_of_the_looks_themselves(rng):
    traced = []

    def metrics(variables, batch):
        traced.append("metrics")
        return {"error": (jnp.sum(batch["areas"] * variables["judges"]["ear"]["weight"]), jnp.sum(batch["valid"]))}

    def predict(variables, batch, key):
        traced.append("predict")
        return {"label/large": (batch["areas"][:, 0] > jax.random.uniform(key)).astype(jnp.int32) * variables["params"]}

    task = Task(("areas",), lambda k, b: {}, (), metrics, predict, lambda predictions, truth: {})
    placement = mesh.Jitted()
    looks = evaluate.Evaluator(task, placement, {"ear": {"weight": np.float32([[2.0]])}})
    variables = placement.lay({"params": np.int32(3)})
    fields = {"areas": np.float32, "index": np.int32}
    example = {name: rng.random((8, 1)).astype(kind) for name, kind in fields.items()} | {"valid": np.ones(8, bool)}
    figures, predicted = looks.shapes(variables, example, 16)
    assert figures["error"][0].shape == ()
    assert predicted["label/large"].shape == (16,)
    assert sorted(traced) == ["metrics", "predict"]
    batch = {name: np.concatenate([value, value]) for name, value in example.items()}
    found, kept, seen = looks.full(variables, [batch], gallery=16)
    assert sorted(traced) == ["metrics", "predict"]
    assert seen == 16
    assert kept["label/large"].shape == (16,)
    np.testing.assert_allclose(found["error"], 2 * batch["areas"].sum() / 16, rtol=1e-6)


def test_what_the_host_makes_of_a_batch_is_predicted_and_what_it_alone_listens_to_is_not_kept():
    def predict(variables, batch, key):
        return {"waveform/heard": jnp.tile(batch["areas"], (1, 5)), "audio/speech": batch["areas"]}

    def on_host(predicted):
        return {"text/heard": np.uint8(97 + predicted["waveform/heard"].sum(1, keepdims=True) / 5)}

    def score(predictions, truth):
        return {"heard": float(len(set(predictions["text/heard"])))}

    task = Task(("areas",), lambda k, b: {}, (), lambda v, b: {}, predict, score, on_host=on_host)
    batch = {"areas": np.arange(8, dtype=np.float32)[:, None], "valid": np.arange(8) < 7}
    found, kept, _ = evaluate.Evaluator(task, mesh.Jitted()).full({}, [batch, batch], gallery=2)
    assert kept["text/heard"].tolist() == [letter.encode() for letter in "abcdefg" * 2]
    assert kept["audio/speech"].shape == (2, 1)
    assert found == {"heard": 7.0}
    assert set(kept) == {"text/heard", "audio/speech"}
