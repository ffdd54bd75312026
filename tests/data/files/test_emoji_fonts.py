"""Fonts that draw emoji, and one that does not."""

import pathlib

import matplotlib
import pytest

from mmjax.data.files import emoji_fonts
from mmjax.errors import UserError

FONTS = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def test_a_font_that_draws_none():
    with pytest.raises(UserError, match="draws none of these emoji"):
        emoji_fonts.style(str(FONTS / "DejaVuSansMono.ttf"), (" ", "\U0001f600"), 24)
