"""The accelerator's script on a CPU: every part runs, and what devices exchange is read from programs."""

import importlib.util
import sys

import children
import pytest

FOLDER = children.ROOT / "benchmarks"


@pytest.fixture(scope="module")
def accelerator():
    """The script as a module."""
    sys.path.insert(0, str(FOLDER))  # it imports its neighbour
    try:
        spec = importlib.util.spec_from_file_location("accelerator", FOLDER / "accelerator.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["accelerator"] = module  # its dataclass looks itself up
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(FOLDER))
        sys.modules.pop("accelerator", None)


PROGRAM = """
  %all-reduce.1 = f32[64,32]{1,0} all-reduce(%x), channel_id=1, replica_groups={{0,1}}
  %all-reduce.2 = (f32[], bf16[3,5]{1,0}) all-reduce(%y, %z), channel_id=2
  %all-gather-start = s32[7]{0} all-gather-start(%w), channel_id=3
  ROOT %add = f32[64,32]{1,0} add(%all-reduce.1, %all-reduce.1)
"""


def test_bytes_of_a_program_by_hand(accelerator):
    assert accelerator.collectives(PROGRAM) == {"all-reduce": 64 * 32 * 4 + 4 + 15 * 2, "all-gather": 28}


def test_operations_of_clip_by_hand(accelerator):
    """ViT-B/32: 4.41 G multiplications and additions a picture, as published; its text of 77 places 2.98."""
    from ml_collections import ConfigDict

    image = {"width": 768, "layers": 12, "patch": 32, "image_size": 224, "embed": 512}
    text = {"width": 512, "layers": 12, "context": 77, "embed": 512}
    found = accelerator.clip_flops(ConfigDict({"batch_size": 1, "image": image, "caption": text})) / 3 / 2e9
    assert found == pytest.approx(4.41 + 2.98, abs=0.02)


def test_a_part_of_each_kind_runs(compiled):
    """All parts take 45 s: `python benchmarks/accelerator.py --dry`."""
    env = {**compiled, "XLA_FLAGS": children.quick_flags(), "PYTHONPATH": str(children.ROOT)}
    parts = ("soundnet", "skipgram")
    ended = children.python(FOLDER / "accelerator.py", "--dry", "--parts", *parts, **env)
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout
    for name in parts:
        assert any(line.startswith(f"{name}: ") and "a step of train.py" in line for line in said.splitlines())
    parameters = 17_804 * 4
    line = next(line for line in said.splitlines() if line.startswith("soundnet, 8 devices: all-reduce "))
    exchanged = float(line.split()[4]) * 1e6
    assert parameters < exchanged < 1.2 * parameters  # each gradient once, and statistics of BatchNorm
