"""Known networks: fresh or published, trained or frozen, and read without a file until they are filled."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.errors import OptionError, UserError, section
from mmjax.known import encoders
from mmjax.known.network import Network


class Toy(nn.Module):
    """Two layers, BatchNorm between them."""

    width: int = 2

    @nn.compact
    def __call__(self, x, *, train=False):
        low = nn.Dense(self.width, name="low")(x.astype(jnp.float32))
        mean = self.variable("state", "mean", jnp.zeros, (self.width,))
        used = jnp.mean(low, 0) if train else mean.value
        if train and not self.is_initializing():
            mean.value = 0.5 * mean.value + 0.5 * used
        return {"low": low, "high": nn.Dense(1, name="high")(low - used[None])}

    @nn.compact
    def until(self, x, *, layer, train=False):
        del train
        assert layer == "low"
        return nn.Dense(self.width, name="low")(x.astype(jnp.float32))


CALLS = []


def published(scale):
    CALLS.append(scale)
    return {
        "params": {
            "low": {"kernel": scale * np.ones((3, 2), np.float32), "bias": np.zeros(2, np.float32)},
            "high": {"kernel": np.ones((2, 1), np.float32), "bias": np.zeros(1, np.float32)},
        },
        "state": {"mean": np.full(2, 3, np.float32)},
    }


X = np.array([[1, 0, 0], [0, 2, 0]], np.float32)
FRESH = Network(Toy(), "high")


def made(network):
    """Parts as an engine makes them: traced, then filled."""
    return network.fill(jax.jit(network.init)(jax.random.key(0), X))


@pytest.mark.parametrize(
    ("trained", "statistics", "places"),
    [
        (True, "batch", {"params": ["high", "low"], "state": ["mean"], "frozen": []}),
        (True, "running", {"params": ["high", "low"], "state": [], "frozen": ["state"]}),
        (False, "batch", {"params": [], "state": [], "frozen": ["params", "state"]}),
    ],
)
def test_published_weights_are_where_they_belong(trained, statistics, places):
    network = Network(Toy(), "high", load=published, source=(2,), trained=trained, statistics=statistics)
    CALLS.clear()
    empty = jax.jit(network.init)(jax.random.key(0), X)
    assert not CALLS  # nothing is read before it is filled
    assert all(np.isnan(x).all() for x in jax.tree.leaves(empty))
    parts = network.fill(empty)
    assert CALLS == [2]
    assert {name: sorted(part) for name, part in parts.items()} == places
    assert jax.tree.structure(parts) == jax.tree.structure(empty)
    found, state = network(parts, X)
    np.testing.assert_allclose(found, [[-2.0], [2.0]])  # (2 - 3) + (2 - 3) and (4 - 3) + (4 - 3)
    assert state == parts["state"]
    found, state = network(parts, X, train=True)
    if trained and statistics == "batch":
        np.testing.assert_allclose(found, [[-2.0], [2.0]])  # the batch's mean is 3, too
        np.testing.assert_allclose(state["mean"], [3.0, 3.0])
        np.testing.assert_allclose(network(parts, 2 * X, train=True)[1]["mean"], [4.5, 4.5])
    else:
        np.testing.assert_allclose(network(parts, 2 * X, train=True)[0], [[2.0], [10.0]])
        assert state == parts["state"]


def test_a_fresh_network_keeps_what_it_drew():
    parts = FRESH.init(jax.random.key(0), X)
    own = Toy().init(jax.random.key(0), X)
    jax.tree.map(np.testing.assert_array_equal, FRESH.fill(parts), {**own, "frozen": {}})
    np.testing.assert_array_equal(FRESH(parts, X)[0], Toy().apply(own, X)["high"])


def test_what_lies_above_the_layer_is_not_carried_along():
    network = Network(Toy(), "low", load=published, source=(2,), method="until")
    parts = made(network)
    assert set(parts["params"]) == {"low"}
    np.testing.assert_allclose(network(parts, X, train=True)[0], [[2.0, 2.0], [4.0, 4.0]])


def test_equal_by_value():
    one, same, other = (Network(Toy(), "high", load=published, source=(n,)) for n in (2, 2, 3))
    assert (one, hash(one)) == (same, hash(same))
    assert one != other
    many = encoders.make("recogniser"), encoders.make("recogniser"), encoders.make("recogniser", "features")
    assert (many[0], hash(many[0])) == (many[1], hash(many[1]))
    assert many[0] != many[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "vgg"}, r"config\.picture\.name 'vgg' is unknown: choose one of scene, .*vgg19"),
        ({"name": "vgg19"}, r"config\.picture\.weights is empty: give the path of torchvision's weights of vgg19"),
        ({"name": "scene"}, r"config\.picture\.name 'scene' has no weights: it has to be trained"),
        ({"name": "scene", "trained": True, "statistics": "no"}, r"config\.picture\.statistics is 'no': choose"),
    ],
)
def test_mistakes(options, said):
    with pytest.raises(UserError, match=said), section("config.picture"):
        encoders.make(**options)


def test_mistakes_of_networks():
    with pytest.raises(OptionError, match="trained is False, but Toy has no weights"):
        Network(Toy(), "high", trained=False)
    network = Network(Toy(), "middle")
    with pytest.raises(OptionError, match="layer 'middle' is unknown: choose one of low, high"):
        network(network.init(jax.random.key(0), X), X)
    network = Network(Toy(width=4), "high", load=published, source=(2,))
    with pytest.raises(
        OptionError, match=r"weights do not fit: params/high/kernel is \(2, 1\), in the network \(4, 1\)"
    ):
        made(network)


def test_pictures_are_resized():
    network = encoders.make("recogniser", "features")
    picture = np.zeros((2, 224, 224, 3), np.uint8)
    parts = network.fill(jax.eval_shape(network.init, jax.random.key(0), picture))
    assert jax.eval_shape(network, parts, picture)[0].shape == (2, 192)
    assert network(parts, picture[:, ::2, ::2])[0].shape == (2, 192)
    assert encoders.make("scene", trained=True).size == 0


def test_a_missing_file_is_said_before_anything_is_read(tmp_path):
    with (
        pytest.raises(OptionError, match=r"config\.encoder\.weights='.*/vgg\.pth': no such file"),
        section("config.encoder"),
    ):
        encoders.make("vgg16", weights=str(tmp_path / "vgg.pth")).check()
    (tmp_path / "vgg.pth").touch()
    encoders.make("vgg16", weights=str(tmp_path / "vgg.pth")).check()
