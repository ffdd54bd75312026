"""The reader of face-api's weights: its files byte by byte, parity with a forward pass of its own, other files."""

import face_api_writer
import jax
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.models.vision.face_api import BLOCKS, MEAN, FaceDescriptor, FaceLandmarks
from mmjax.weights import face_api, tfjs_file

torch = pytest.importorskip("torch")
F = torch.nn.functional


def published(folder, name, parts, rng):
    """What `face_api_writer` writes, as tensors."""
    return {k: torch.from_numpy(v.copy()) for k, v in face_api_writer.write(folder, name, parts, rng).items()}


def same(x, kernel, stride):
    """TensorFlow's padding: what is odd goes to the right and below."""
    need = [max(0, (-(-n // stride) - 1) * stride + kernel - n) for n in x.shape[2:]]
    return F.pad(x, (need[1] // 2, need[1] - need[1] // 2, need[0] // 2, need[0] - need[0] // 2))


def conv(x, w, stride=1, padding="same", **options):
    x = same(x, w.shape[0], stride) if padding == "same" else x
    return F.conv2d(x, w.permute(3, 2, 0, 1), stride=stride, **options)


def add_bias(x, b):
    return x + b[None, :, None, None]


def landmarks(w, x):
    for block in range(4):

        def layer(x, i, stride, block=block):
            name = f"dense{block}/conv{i}"
            if f"{name}/filters" in w:
                return add_bias(conv(x, w[f"{name}/filters"], stride), w[f"{name}/bias"])
            alone = w[f"{name}/depthwise_filter"].permute(0, 1, 3, 2)
            x = conv(x, alone, stride, groups=x.shape[1])
            return add_bias(conv(x, w[f"{name}/pointwise_filter"]), w[f"{name}/bias"])

        one = F.relu(layer(x, 0, 2))
        two = layer(one, 1, 1)
        three = layer(F.relu(one + two), 2, 1)
        four = layer(F.relu(one + two + three), 3, 1)
        x = F.relu(one + two + three + four)
    return x.mean((2, 3)) @ w["fc/weights"] + w["fc/bias"]


def descriptor(w, x):
    def scaled(x, name, stride=1, padding="same"):
        x = add_bias(conv(x, w[f"{name}/conv/filters"], stride, padding), w[f"{name}/conv/bias"])
        return add_bias(x * w[f"{name}/scale/weights"][None, :, None, None], w[f"{name}/scale/biases"])

    x = F.max_pool2d(F.relu(scaled(x, "conv32_down", 2, "valid")), 3, 2)
    for name, features, down in BLOCKS:
        y = F.relu(scaled(x, f"{name}/conv1", 2 if down else 1, "valid" if down else "same"))
        y = scaled(y, f"{name}/conv2")
        if down:
            x = F.avg_pool2d(x, 2, 2)
            y = F.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
            x = torch.cat([x, torch.zeros(len(x), features - x.shape[1], *x.shape[2:])], 1)
        x = F.relu(x + y)
    return x.mean((2, 3)) @ w["fc"]


@pytest.mark.parametrize(
    ("name", "model", "side", "count"),
    [("landmarks", FaceLandmarks(), 112, 356_840), ("descriptor", FaceDescriptor(), 150, 5_614_592)],
)
def test_the_networks_are_an_independent_forward_pass(name, model, side, count, rng, tmp_path):
    parts = face_api.landmark_parts() if name == "landmarks" else face_api.descriptor_parts()
    file = face_api.LANDMARKS if name == "landmarks" else face_api.DESCRIPTOR
    weights = published(tmp_path, file, list(parts), rng)
    variables = getattr(face_api, name)(tmp_path)
    assert sum(x.size for x in jax.tree.leaves(variables)) == count
    image = rng.integers(0, 256, (2, side, side, 3), np.uint8)
    image[0] //= 3
    found = jax.jit(model.apply)(variables, image)
    found = found["features"] if name == "descriptor" else found.reshape(2, -1)
    x = torch.from_numpy(((image - np.array(MEAN)) / 255).astype(np.float32).transpose(0, 3, 1, 2))
    wanted = (landmarks if name == "landmarks" else descriptor)(weights, x).numpy()
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found / scale, wanted / scale, atol=1e-5)
    assert np.std(wanted / scale, 0).max() > 1e-4


def test_files_that_do_not_fit_are_refused(rng, tmp_path):
    with pytest.raises(UserError, match=r"face_landmark_68_model-weights_manifest.json: no such file.*face-api"):
        face_api.landmarks(tmp_path)
    published(tmp_path, face_api.LANDMARKS, list(face_api.landmark_parts()), rng)
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
