"""The report's audit: sentences, the table, the reliability drawing, warnings on top, and what is broken."""

import json

import pytest

from mmjax.report import page, run_files
from mmjax.report.sections import audit

FOUND = {
    "step": 100,
    "sentences": ["If words <failed>, it would be 0.1."],
    "warnings": ["picture contributes nothing"],
    "table": [["figure", "whole", "without words"], ["accuracy", "0.7 ± 0.1", "0.1 ± 0.05"]],
    "bits": {"reliability": {"confidence": [None, 0.5, 0.9], "accuracy": [None, 0.4, 0.95], "share": [0, 0.5, 0.5]}},
}


def test_all_of_it_is_shown_and_the_warning_stands_on_top(workdir):
    (workdir / "audit.json").write_text(json.dumps(FOUND))
    text = page.write(workdir).read_text()
    assert "If words &lt;failed&gt;, it would be 0.1." in text
    assert '<td class="num" data-label="without words">0.1 ± 0.05</td>' in text
    assert "reliability" in text
    assert text.index("Audit: picture contributes nothing.") < text.index("Audit, after step 100")
    assert audit.reliable(FOUND["bits"]["reliability"]) == [(0.5, 0.4), (0.9, 0.95)]


@pytest.mark.parametrize(
    "changed",
    [
        {"sentences": 3},
        {"sentences": ["a", 1]},
        {"table": [["figure"], 3]},
        {"table": "x", "bits": [1]},
        {"bits": {"reliability": {"confidence": 1}}},
        {"bits": {"reliability": {"confidence": ["x"], "accuracy": [0.5]}}, "warnings": {}},
    ],
)
def test_what_is_broken_is_left_out(changed):
    shown = audit.render(run_files.Run(audit={**FOUND, **changed}))
    assert ("If words" in shown) == ("sentences" not in changed)
    assert ("<svg" in shown) == ("bits" not in changed and "sentences" not in changed)


def test_without_an_audit_there_is_nothing(workdir):
    assert audit.render(run_files.Run()) == ""
    (workdir / "audit.json").write_text("{")
    assert "audit.json could not be read" in page.write(workdir).read_text()
