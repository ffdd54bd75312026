"""The reader of face-api's weights: its files byte by byte, parity with a forward pass of its own, other files."""

import face_api_writer
import jax
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.models.vision.face_api import BLOCKS, MEAN, FaceDescriptor, FaceLandmarks
from mmjax.weights import face_api, tfjs_file


def windows(x, side, stride, padding="same"):
    """Squares of the pictures, [b i j c side side]; what TensorFlow pads oddly goes to the right and below."""
    if padding == "same":
        need = [max(0, (-(-n // stride) - 1) * stride + side - n) for n in x.shape[1:3]]
        x = np.pad(x, ((0, 0), *((n // 2, n - n // 2) for n in need), (0, 0)))
    return np.lib.stride_tricks.sliding_window_view(x, (side, side), (1, 2))[:, ::stride, ::stride]


def conv(x, w, stride=1, padding="same"):
    return np.tensordot(windows(x, w.shape[0], stride, padding), w, ((4, 5, 3), (0, 1, 2)))


def relu(x):
    return np.maximum(x, 0)


def landmarks(w, x):
    for block in range(4):

        def layer(x, i, stride, block=block):
            name = f"dense{block}/conv{i}"
            if f"{name}/filters" in w:
                return conv(x, w[f"{name}/filters"], stride) + w[f"{name}/bias"]
            alone = w[f"{name}/depthwise_filter"]
            x = np.einsum("bijckl,klc->bijc", windows(x, alone.shape[0], stride), alone[..., 0])
            return conv(x, w[f"{name}/pointwise_filter"]) + w[f"{name}/bias"]

        one = relu(layer(x, 0, 2))
        two = layer(one, 1, 1)
        three = layer(relu(one + two), 2, 1)
        four = layer(relu(one + two + three), 3, 1)
        x = relu(one + two + three + four)
    return x.mean((1, 2)) @ w["fc/weights"] + w["fc/bias"]


def descriptor(w, x):
    def scaled(x, name, stride=1, padding="same"):
        x = conv(x, w[f"{name}/conv/filters"], stride, padding) + w[f"{name}/conv/bias"]
        return x * w[f"{name}/scale/weights"] + w[f"{name}/scale/biases"]

    x = windows(relu(scaled(x, "conv32_down", 2, "valid")), 3, 2, "valid").max((4, 5))
    for name, features, down in BLOCKS:
        y = relu(scaled(x, f"{name}/conv1", 2 if down else 1, "valid" if down else "same"))
        y = scaled(y, f"{name}/conv2")
        if down:
            x = windows(x, 2, 2, "valid").mean((4, 5))
            y = np.pad(y, ((0, 0), *((0, n - m) for n, m in zip(x.shape[1:3], y.shape[1:3], strict=True)), (0, 0)))
            x = np.pad(x, ((0, 0), (0, 0), (0, 0), (0, features - x.shape[3])))
        x = relu(x + y)
    return x.mean((1, 2)) @ w["fc"]


@pytest.mark.parametrize(
    ("name", "model", "side", "count"),
    [("landmarks", FaceLandmarks(), 112, 356_840), ("descriptor", FaceDescriptor(), 150, 5_614_592)],
)
def test_the_networks_are_an_independent_forward_pass(name, model, side, count, rng, tmp_path):
    parts = face_api.landmark_parts() if name == "landmarks" else face_api.descriptor_parts()
    file = face_api.LANDMARKS if name == "landmarks" else face_api.DESCRIPTOR
    weights = face_api_writer.write(tmp_path, file, list(parts), rng)
    variables = getattr(face_api, name)(tmp_path)
    assert sum(x.size for x in jax.tree.leaves(variables)) == count
    image = rng.integers(0, 256, (2, side, side, 3), np.uint8)
    image[0] //= 3
    found = jax.jit(model.apply)(variables, image)
    found = found["features"] if name == "descriptor" else found.reshape(2, -1)
    x = ((image - np.array(MEAN)) / 255).astype(np.float32)
    wanted = (landmarks if name == "landmarks" else descriptor)(weights, x)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found / scale, wanted / scale, atol=1e-5)
    assert np.std(wanted / scale, 0).max() > 1e-4


def test_files_that_do_not_fit_are_refused(rng, tmp_path):
    with pytest.raises(UserError, match=r"face_landmark_68_model-weights_manifest.json: no such file.*face-api"):
        face_api.landmarks(tmp_path)
    face_api_writer.write(tmp_path, face_api.LANDMARKS, list(face_api.landmark_parts()), rng)
    manifest = face_api.manifest(tmp_path, face_api.LANDMARKS)
    with pytest.raises(UserError, match="not the weights of this network"):
        face_api.descriptor(manifest)
    raw = (tmp_path / f"{face_api.LANDMARKS}.bin").read_bytes()
    for change, what in ((raw[:-1], "end before fc/bias"), (raw + b"x", "1 bytes more")):
        (tmp_path / f"{face_api.LANDMARKS}.bin").write_bytes(change)
        with pytest.raises(UserError, match=what):
            face_api.landmarks(tmp_path)
    for text, what in (
        ("{", "JSONDecodeError"),
        ("[1]", "TypeError"),
        ('[{"weights": [{"name": "a", "shape": [1], "dtype": "text"}], "paths": []}]', "'text', which is none of"),
        ('[{"weights": [], "paths": ["../../a.bin"]}]', "outside its folder"),
        ('[{"weights": [], "paths": ["a.bin"]}]', "a.bin: No such file"),
        ('[{"weights": [{"name": "a", "shape": [-1], "dtype": "int32"}], "paths": []}]', "end before a"),
    ):
        manifest.write_text(text)
        with pytest.raises(UserError, match=what) as error:
            tfjs_file.read(manifest)
        assert "\n" not in str(error.value)
