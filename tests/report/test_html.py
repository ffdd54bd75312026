"""Numbers as they are read on the page."""

import pytest

from mmjax.report import html


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.500"), (12.345, "12.35"), (3, "3"), (2000.0, "2,000"), (0.00123, "0.0012"), (1.5e-9, "1.50e−09"),
     (-0.25, "−0.250"), (float("nan"), "not a number"), (float("-inf"), "−∞"), (1234.56, "1,234.6"), (0, "0")],
)  # fmt: skip
def test_numbers_for_reading(value, text):
    assert html.number(value) == text
