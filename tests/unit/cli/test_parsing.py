"""What is misspelt on the command line is answered with what was meant."""

from __future__ import annotations

import pytest

from restate_patterns.cli.command import parser
from restate_patterns.cli.exits import Exit


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("invocatons list", "there is no command 'invocatons'; did you mean invocations?"),
        ("invocations lst", "there is no command 'lst'; did you mean list?"),
        ("qqqqqq", "there is no command 'qqqqqq'; it is one of dev, serve, call"),
        ("invocations list --limt 3", "there is no option --limt; did you mean --limit?"),
        ("invocations list --LIMIT=3", "there is no option --LIMIT; did you mean --limit?"),
        ("serve shop:app --backend embeded", "argument --backend: it cannot be 'embeded'; did you mean embedded?"),
    ],
)
def test_did_you_mean(typed: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Argparse lists all there is, and shows the usage of the whole command for an option of a part."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(typed.split())
    assert ended.value.code == Exit.USAGE
    said = capsys.readouterr().err
    assert sentence in said
    if "--" in typed:
        assert said.startswith(f"usage: restate-patterns {typed.partition(' -')[0].removesuffix(' shop:app')}")


def test_the_version_names_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    """As bug reports need it."""
    with pytest.raises(SystemExit):
        parser().parse_args(["--version"])
    assert capsys.readouterr().out.startswith("restate-patterns 0.")
