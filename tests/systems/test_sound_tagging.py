"""Sound tagging: the rows against scikit-learn on the same windows, fine-tuning, statistics, folds by one command."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
import soundfile
from jax import numpy as jnp
from shared import get_config, one_device

from mmjax import report
from mmjax.data import spec
from mmjax.engine import loop, mesh, optim, prepare
from mmjax.engine import step as steps
from mmjax.errors import UserError
from mmjax.models.sound import sound_tagger, soundnet
from mmjax.models.sound.sound_tagger import Features
from mmjax.models.sound.soundnet import SoundNet
from mmjax.systems import sound_tagging
from mmjax.task import Fit, Task, Update, bind

TIME = 57_330  # 2.6 s, the least that the 5-layer network takes
MODEL = SoundNet(depth=5, objects=3, scenes=2, width=0.0625)
FEATURES = Features(("pool3", "heads"), steps=6, n_fft=512, hop=256, n_mels=20, n_mfcc=8)


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network whose statistics are not those of a fresh one."""

    @functools.cached_property
    def variables(self):
        made = jax.jit(MODEL.init)(jax.random.key(7), jnp.zeros((1, 1)))
        made = jax.device_get(made)
        return {"params": made["params"], "state": jax.tree.map(lambda x: x + np.float32(0.25), made["state"])}


TRAINED = Trained()


def task(variables=True) -> Task:
    rows = bind(sound_tagging.observe, MODEL, FEATURES)
    return Task(
        fields=("waveform", "waveform_length", "label"),
        init=bind(sound_tagging.init, MODEL, variables),
        fill=bind(sound_tagging.fill, TRAINED if variables else None),
        updates=(Update("net", bind(sound_tagging.loss, MODEL)),),
        metrics=bind(sound_tagging.metrics, MODEL, FEATURES, rows),
        predict=bind(sound_tagging.predict, MODEL, FEATURES, rows),
        fit=Fit(rows, bind(sound_tagging.solve, FEATURES, cost=0.01, standardise=False)),
    )


def batch(size=12):
    """Tones, a class an octave, in noise; some clips are half as long."""
    rng = np.random.default_rng(0)
    label = (np.arange(size) % 3).astype(np.int32)
    hertz = 300.0 * 2.0 ** (2 * label) * rng.uniform(0.9, 1.1, size)
    time = np.arange(TIME) / 22_050
    wave = 6000 * np.sin(2 * np.pi * hertz[:, None] * time) + rng.normal(0, 300, (size, TIME))
    length = np.where(np.arange(size) % 4 == 0, TIME // 2, TIME).astype(np.int32)
    wave[np.arange(TIME)[None] >= length[:, None]] = 0
    valid = np.ones(size, bool)
    return {"waveform": wave.astype(np.int16), "waveform_length": length, "label": label, "valid": valid}


CONSTANTS = {"label_names": spec.spelt(["low", "middle", "high"])}


@functools.cache
def fitted(variables=True):
    """(variables with what was solved, what was observed)."""
    system, made = task(variables), batch()
    fresh = jax.jit(system.init)(jax.random.key(0), {**made, **CONSTANTS})
    fresh = jax.tree.map(jnp.asarray, dict(system.fill(fresh, CONSTANTS)))
    observed = jax.tree.map(np.asarray, jax.jit(system.fit.observe)(fresh, made))
    return {**fresh, "fitted": system.fit.solve(fresh, observed)}, observed


def judgements(variables):
    """{row: scores} as NumPy arrays."""
    judge = bind(sound_tagging.judge, FEATURES, task().fit.observe)
    return jax.tree.map(np.asarray, jax.jit(judge)(variables, batch()))


def test_fine_tuning_starts_from_the_trained_network_and_its_statistics():
    start, _ = fitted()
    own, frozen = start["params"]["net"]["trunk"], TRAINED.variables
    assert set(own) == set(frozen["params"]) - {"object", "scene"}
    jax.tree.map(np.testing.assert_array_equal, own, {name: frozen["params"][name] for name in own})
    jax.tree.map(np.testing.assert_array_equal, start["state"]["net"], frozen["state"])
    scratch, _ = fitted(False)
    assert "trained" not in scratch["frozen"]
    different = [np.abs(scratch["frozen"]["random"][k]["kernel"] - own[k]["kernel"]).max() for k in ("conv1", "conv4")]
    assert min(different) > 0


def test_loss_is_the_cross_entropy_and_statistics_follow_the_batch():
    start, _ = fitted()
    system, made = task(), batch()
    made["label"][2] = -1  # no label: it does not count
    start = {k: v for k, v in start.items() if k != "fitted"}
    value, (state, _) = jax.jit(system.updates[0].loss)(start, made, jax.random.key(0))
    own = {"params": start["params"]["net"]["trunk"], "state": start["state"]["net"]}
    wave = soundnet.scale(jnp.asarray(made["waveform"]))
    call = functools.partial(MODEL.apply, layer="conv4", train=True, mutable=["state"], method="features")
    x, moved = jax.jit(call)(own, wave, made["waveform_length"])
    logits = np.float64(sound_tagger.logits(start["params"]["net"]["head"], x))
    each = np.log(np.exp(logits).sum(-1)) - logits[np.arange(12), made["label"]]
    assert float(value) == pytest.approx(np.mean(np.delete(each, 2)), rel=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state["net"], moved["state"])
    np.testing.assert_allclose(state["prior"]["top"], (np.full(3, 1 / 3) + np.array([4, 4, 3]) / 11) / 2, rtol=1e-5)
    random = start["state"]["random"]["norm1"]["mean"]
    assert np.abs(state["random"]["norm1"]["mean"] - random).max() > 0


@pytest.mark.parametrize("row", ["pool3", "random_heads", "mfcc"])
def test_rows_are_scikit_learns_on_the_same_windows(row):
    """eval_esc50.lua with LinearSVC: windows of a second, the scores of a clip's windows averaged."""
    svm = pytest.importorskip("sklearn.svm")
    variables, observed = fitted()
    x, label = np.float64(observed[row]), observed["label"]
    steps = x.shape[1]
    width = int(np.ceil(steps / (TIME / 22_050)))
    if row == "mfcc":
        runs = [x[:, i : i + width] for i in range(steps - width + 1)]
        mean, within = np.split(np.stack([run.mean(1) for run in runs], 1), 2, -1)
        between = np.stack([run[..., :8].var(1) for run in runs], 1)
        x = np.concatenate([mean, np.sqrt(within + between)], -1)
        x = (x - x.mean((0, 1))) / np.maximum(x.std((0, 1)), 1e-6)  # a window of one frame has no deviation
    else:
        x = np.stack([x[:, i : i + width].reshape(len(x), -1) for i in range(steps - width + 1)], 1)
    flat = x.reshape(-1, x.shape[-1])
    theirs = svm.LinearSVC(C=0.01, tol=1e-8, max_iter=100_000, random_state=0, dual=True)
    theirs.fit(flat, np.repeat(label, x.shape[1]))
    wanted = theirs.decision_function(flat).reshape(len(x), -1, 3).mean(1)
    np.testing.assert_allclose(judgements(variables)[row], wanted, atol=2e-3 * np.abs(wanted).max())


def test_the_table_has_every_row_beside_the_majority_and_the_random_layer():
    variables, _ = fitted()
    made = batch()
    made["valid"][6:] = False
    figures = jax.tree.map(float, jax.jit(task().metrics)(variables, made))
    names = {name for name in figures if "/" not in name}
    assert names == {f"{row}_accuracy" for row in ("finetuned", "pool3", "heads", "mfcc", "log_mel")}
    assert {f"{name}/majority" for name in names} <= set(figures)
    assert {name for name in figures if "random" in name} == {
        f"{x}_accuracy/random_weights" for x in ("pool3", "heads")
    }
    assert all(count == 6 for _, count in figures.values())
    judged = judgements(variables)
    for row in ("pool3", "mfcc"):
        right = np.sum(np.argmax(judged[row][:6], -1) == made["label"][:6])
        assert figures[f"{row}_accuracy"][0] == right
    random = np.sum(np.argmax(judged["random_pool3"][:6], -1) == made["label"][:6])
    assert figures["pool3_accuracy/random_weights"][0] == random
    assert figures["mfcc_accuracy"][0] == 6  # octaves apart
    without, _ = fitted(False)
    bare = jax.eval_shape(task(False).metrics, without, made)
    assert {name for name in bare if "/" not in name} == {
        f"{row}_accuracy" for row in ("finetuned", "random_pool3", "random_heads", "mfcc", "log_mel")
    }
    look = {k: v for k, v in variables.items() if k != "fitted"}
    assert set(jax.eval_shape(task().metrics, look, made)) == {"finetuned_accuracy", "finetuned_accuracy/majority"}


def test_predictions_show_sound_features_and_guesses():
    variables, _ = fitted()
    made = batch()
    found = jax.tree.map(np.asarray, jax.jit(task().predict)(variables, made, jax.random.key(0)))
    assert found["heatmap/mel"].shape[:2] == (12, 20)
    assert found["heatmap/mfcc"].shape[:2] == (12, 8)
    np.testing.assert_allclose(found["scores/finetuned"].sum(-1), 1, rtol=1e-5)
    for row in ("finetuned", "mfcc", "log_mel"):
        np.testing.assert_array_equal(found[f"label/{row}_target"], made["label"])
    # What Griffin-Lim makes of 20 bands of tones has nearly these bands; silence would be at 1.
    energy_of = jax.jit(lambda wave: sound_tagger.spectra(FEATURES, wave)["energy"])
    rebuilt, energy = (np.asarray(energy_of(x)) for x in (found["audio/griffin_lim_of_mel"], made["waveform"]))
    assert found["audio/griffin_lim_of_mel"].shape == made["waveform"].shape
    assert np.linalg.norm(np.sqrt(rebuilt) - np.sqrt(energy)) < 0.45 * np.linalg.norm(np.sqrt(energy))
    # In a notebook there is no label, and all but the truth is the same.
    del made["label"]
    shapes = jax.eval_shape(task().predict, variables, made, jax.random.key(0))
    assert set(shapes) == {name for name in found if not name.endswith("_target")}


def test_what_it_predicts_from_is_the_sound_alone():
    assert sound_tagging.build(tiny()).predicts_from == ("waveform", "waveform_length")


def test_sounds_too_short_for_its_windows_are_refused():
    made, (variables, _) = batch(2), fitted()
    short = {
        **made,
        "waveform": made["waveform"][:, : TIME // 2],
        "waveform_length": np.minimum(made["waveform_length"], TIME // 2),
    }
    with pytest.raises(UserError, match=rf"waveform: sounds of {TIME // 2:,} samples do not fill the windows"):
        jax.eval_shape(task().predict, variables, short, jax.random.key(0))


def tiny(**changes):
    config = get_config("sound_tagging")
    config.update_from_flattened_dict(changes)
    return config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.soundnet": "runs/none"}, r"config\.model\.soundnet='runs/none' is no workdir and no file of weights"),
        ({"model.depth": 6}, r"config\.model\.depth is 6: SoundNet has 5 or 8 layers"),
        ({"features.layers": ("conv1", "pool4")}, r"config\.features\.layers has 'pool4': SoundNet-5 has conv1, pool1"),
        ({"features.steps": 0}, r"config\.features\.steps is 0: it must be at least 1"),
        ({"features.window": 0.0}, r"config\.features\.window is 0\.0: it must be above 0 s"),
        ({"svm.cost": 0.0}, r"config\.svm\.cost=0\.0: it must be above 0"),
        ({"svm.cost": -1.0}, r"config\.svm\.cost=-1\.0: it must be above 0"),
        ({"svm.cost": float("nan")}, r"config\.svm\.cost=nan: it must be above 0"),
    ],
)
def test_mistakes_are_told_before_training(changes, message):
    with pytest.raises(UserError, match=message):
        sound_tagging.build(tiny(**changes))


def test_two_builds_are_one_task():
    one, two = sound_tagging.build(tiny()), sound_tagging.build(tiny())
    assert one == two
    assert hash(one) == hash(two)
    assert one != sound_tagging.build(tiny(**{"svm.cost": 0.1}))
    assert one.notes == (sound_tagging.UNTRAINED,)


def test_two_copies_of_the_trained_network_part():
    """One is trained and one is not, though both are filled with the same arrays."""
    variables = {k: v for k, v in fitted()[0].items() if k != "fitted"}
    config = tiny()
    tools = optim.of(task(), config.optim, 1)
    state = steps.TrainState(
        jnp.int32(0),
        variables["params"],
        {"net": tools["net"].init(variables["params"]["net"])},
        variables["state"],
        variables["frozen"],
    )
    placement = mesh.Jitted()
    state = placement.place(state)
    filled = prepare.fill(task(), state, CONSTANTS, placement)
    moved, _ = placement.compile(bind(steps.train_step, task(), tools), filled)(filled, batch(16), jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, moved.frozen["trained"], TRAINED.variables)
    trunk, before = moved.params["net"]["trunk"]["conv1"]["kernel"], TRAINED.variables["params"]["conv1"]["kernel"]
    assert np.abs(np.asarray(trunk) - before).max() > 0


def test_a_folder_in_folds_by_one_command(tmp_path, monkeypatch):
    write = report.write  # of the whole: the folds' own pages are those of any run
    monkeypatch.setattr(report, "write", lambda workdir: write(workdir) if workdir.name == "run" else workdir)
    made = batch(24)
    for i, (wave, label) in enumerate(zip(made["waveform"], made["label"])):
        path = tmp_path / "sounds" / f"tone{label}" / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave[: 22_050 * 2], 22_050)
    tiny, folder = (get_config("sound_tagging", variant) for variant in ("tiny", "folder"))
    with tiny.unlocked():
        tiny.data = folder.data
        tiny.data.update(path=str(tmp_path / "sounds"), data_dir=str(tmp_path / "cache"), folds=2)
        tiny.validation_split, tiny.eval.folds, tiny.eval.test_examples = "test", 2, 0
        tiny.features.layers, tiny.steps, tiny.eval.every = ("heads",), 2, 0
        # Of what is computed and drawn the least that still tells the tones apart.
        tiny.features.n_fft, tiny.features.hop, tiny.features.n_mels, tiny.features.n_mfcc = 1024, 512, 40, 12
        tiny.features.steps, tiny.model.width, tiny.eval.batch_size, tiny.eval.gallery = 6, 0.03125, 16, 1
    with one_device():
        figures = loop.run(tiny, tmp_path / "run")
    assert figures["mfcc_accuracy"] > 0.8 > 0.5 > figures["mfcc_accuracy/majority"]
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert (results["examples"], len(results["folds"])) == (24, 2)
    assert "tone2" in (tmp_path / "run/report.html").read_text()


def test_folds_of_the_data_are_the_folds_that_are_run():
    folder = get_config("sound_tagging", "folder")
    folder.data.folds = 3
    assert folder.eval.folds == 3
    folder.eval.folds = 0  # one run, of config.data.fold
    assert folder.data.folds == 3
