"""Looking to Listen: sizes, an independent forward pass, padding that changes nothing, gradients, a value by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.models.joint.looking_to_listen import VISUAL, LookingToListen, audio_layers

TINY = LookingToListen(width=3, faces=4, units=5, hidden=6)
SHALLOW = TINY.clone(depth=2)  # 6 layers that hear instead of 14: what is asked of each is asked of these


def shapes(model, speakers=2, frames=298):
    inputs = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((1, frames, 257, 2), (1, speakers, 75, 1024))]
    return jax.eval_shape(lambda *x: model.init_with_output(jax.random.key(0), *x), *inputs)


def size(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def test_sizes_are_the_published_ones():
    out, variables = shapes(LookingToListen())
    assert size(variables["params"]) == 17_393_924
    assert out.shape == (1, 2, 298, 257, 2)
    assert size(shapes(LookingToListen(summed=False))[1]["params"]) == 17_633_924
    three, more = shapes(LookingToListen(), 3, 400)
    assert three.shape == (1, 3, 400, 257, 2)
    # A third face brings its share of the LSTM's input and its mask, and no weights of its own to look with.
    assert size(more["params"]) - 17_393_924 == 2 * 256 * 1600 + 601 * 257 * 2


@pytest.fixture(scope="module")
def tiny():
    return drawn(TINY)


@pytest.fixture(scope="module")
def shallow():
    return drawn(SHALLOW)


def drawn(model):
    """Weights none of which is what a fresh network has, sounds of 26 frames and faces of 7 pictures."""
    rng = np.random.default_rng(0)
    sound, faces = rng.standard_normal((2, 26, 9, 2)), rng.standard_normal((2, 2, 7, 5))
    sound, faces = sound.astype(np.float32), faces.astype(np.float32)
    fresh = jax.eval_shape(model.init, jax.random.key(0), sound, faces)
    draw = lambda x: rng.uniform(0.2, 0.8, x.shape).astype(np.float32) * rng.choice([-1, 1], x.shape)  # noqa: E731
    variables = jax.tree.map(lambda x: draw(x).astype(np.float32), fresh)
    variables["state"] = jax.tree.map(np.abs, variables["state"])
    return variables, sound, faces


def test_masks_equal_an_independent_forward_pass(tiny):
    torch = pytest.importorskip("torch")
    f, (variables, sound, faces) = torch.nn.functional, tiny
    params, state = variables["params"], variables["state"]
    t = lambda x: torch.from_numpy(np.array(x))  # noqa: E731

    def stream(name, x, layers):
        for i, (kernel, dilation) in enumerate(layers, start=1):
            conv, norm, seen = params[name][f"conv{i}"], params[name][f"norm{i}"], state[name][f"norm{i}"]
            pads = tuple((k - 1) * d // 2 for k, d in zip(kernel, dilation))
            x = f.conv2d(x, t(conv["kernel"]).permute(3, 2, 0, 1), t(conv["bias"]), padding=pads, dilation=dilation)
            x = f.relu(f.batch_norm(x, t(seen["mean"]), t(seen["var"]), t(norm["scale"]), t(norm["bias"])))
        return x

    heard = stream("audio", t(sound).permute(0, 3, 1, 2), (*audio_layers(), ((1, 1), (1, 1))))
    parts = [heard.permute(0, 2, 3, 1).reshape(2, 26, -1)]
    at = [min(int((i + 1.25) / 4), 6) for i in range(26)]
    for s in range(2):
        look = t(faces[:, s]).permute(0, 2, 1)[..., None]
        look = stream("visual", look, [((k, 1), (d, 1)) for k, d in VISUAL])[..., 0].permute(0, 2, 1)
        parts.append(look[:, at])
    lstm = torch.nn.LSTM(9 * 8 + 8, 5, batch_first=True, bidirectional=True)
    order = np.concatenate([np.arange(5) + 5 * gate for gate in (0, 1, 3, 2)])  # theirs: input, forget, cell, output
    with torch.no_grad():
        for name, end in (("forward", ""), ("backward", "_reverse")):
            for theirs, ours in (("weight_ih", "input"), ("weight_hh", "hidden"), ("bias_ih", "bias")):
                getattr(lstm, f"{theirs}_l0{end}").copy_(t(params["lstm"][f"{name}_{ours}"].T[order]))
            getattr(lstm, f"bias_hh_l0{end}").zero_()
        x = lstm(torch.cat(parts, -1))[0]
        x = x[..., :5] + x[..., 5:]
        for name in ("dense1", "dense2", "dense3", "mask"):
            x = f.linear(x, t(params[name]["kernel"]).T, t(params[name]["bias"]))
            x = x if name == "mask" else f.relu(x)
    wanted = x.reshape(2, 26, 2, 9, 2).permute(0, 2, 1, 3, 4).numpy()
    found = jax.jit(TINY.apply)(variables, sound, faces)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
    assert np.std(wanted) > 0.1


def test_masks_are_what_they_were(tiny):
    variables, sound, faces = tiny
    found = jax.jit(TINY.apply)(variables, sound, faces)
    np.testing.assert_allclose(found[1, 1, 20, :3, 1], GOLDEN, rtol=1e-3)


GOLDEN = [1.497276, -2.373933, 1.739057]  # of the seeded weights and inputs above, checked against PyTorch


def test_a_clip_has_the_same_masks_alone_and_padded(shallow):
    variables, sound, faces = shallow
    where, seen = np.arange(26)[None] < np.array([[26], [17]]), np.arange(7)[None] < np.array([[7], [5]])
    sound, faces = sound.copy(), faces.copy()
    sound[1, 17:], faces[1, :, 5:] = 1e3, -1e3  # what lies in the padding is nobody's
    both = jax.jit(SHALLOW.apply)(variables, sound, faces, where, seen)
    alone = jax.jit(SHALLOW.apply)(variables, sound[1:, :17], faces[1:, :, :5])
    np.testing.assert_allclose(both[1:, :, :17], alone, atol=1e-5 * np.abs(alone).max())
    assert not np.asarray(both[1, :, 17:]).any()

    @jax.jit
    def statistics(*x):
        return SHALLOW.apply(variables, *x, train=True, mutable=["state"])[1]["state"]

    cut = statistics(sound[1:, :17], faces[1:, :, :5])
    padded = statistics(sound[1:], faces[1:], where[1:], seen[1:])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), cut, padded)


def test_what_moves_is_seen_beside_what_stands_still(shallow):
    """As a network that is given by hand how far each embedding is from the clip's mean, in standard deviations."""
    variables, sound, faces = shallow
    model, seen = SHALLOW.clone(moving=True), np.arange(7)[None] < np.array([[7], [5]])
    rng = np.random.default_rng(1)
    own = jax.tree.map(lambda x: x, variables)
    kernel = own["params"]["visual"]["conv1"]["kernel"]
    more = rng.normal(size=kernel.shape).astype(np.float32)
    own["params"]["visual"]["conv1"]["kernel"] = np.concatenate([kernel, more], 2)
    scale, bias, mean, var = rng.uniform(0.5, 2, (4, 5)).astype(np.float32)
    moving = jax.tree.map(lambda x: x, own)
    moving["params"]["moves"], moving["state"]["moves"] = {"scale": scale, "bias": bias}, {"mean": mean, "var": var}
    apart = np.stack([face - face[:, :n].mean(1, keepdims=True) for face, n in zip(faces, (7, 5))])
    given = np.concatenate([faces, (apart - mean) / np.sqrt(var + 1e-5) * scale + bias], -1)
    wanted = jax.jit(SHALLOW.apply)(own, sound, given, None, seen)
    changed = faces.copy()
    changed[1, :, 5:] = 1e3  # nobody's
    found = jax.jit(model.apply)(moving, sound, changed, None, seen)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
    trained = jax.jit(lambda *x: model.apply(moving, *x, train=True, mutable=["state"]))
    _, updated = trained(sound, changed, None, seen)
    real = np.concatenate([a[:, :n].reshape(-1, 5) for a, n in zip(apart, (7, 5))])
    np.testing.assert_allclose(updated["state"]["moves"]["mean"], 0.9 * mean, atol=1e-5)
    np.testing.assert_allclose(updated["state"]["moves"]["var"], 0.9 * var + 0.1 * real.var(0, ddof=1), rtol=1e-4)


def test_a_bound_holds_and_gradients_reach_faces_and_sound(shallow):
    variables, sound, faces = shallow
    model = SHALLOW.clone(bound=2.0)
    loose, bound = jax.jit(lambda *x: (SHALLOW.apply(*x), model.apply(*x)))(variables, sound, faces)
    np.testing.assert_allclose(bound, 2 * np.tanh(loose), atol=1e-5)
    assert np.min(loose) < -0.1
    slopes = jax.jit(jax.grad(lambda s, v: jnp.sum(jnp.square(SHALLOW.apply(variables, s, v))), (0, 1)))(sound, faces)
    for slope in slopes:
        assert np.isfinite(slope).all()
        assert np.any(np.asarray(slope))
