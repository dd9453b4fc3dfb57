"""`MODULE:APP`: what is wrong with it, or with the module that it names, is a sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.loading import load_app

APP = "from restate_patterns import App, Context, Service, handler\n\nclass Hello(Service):\n    @handler\n"
APP += "    async def say(self, ctx: Context) -> None: ...\n\napp = App([Hello()])\n"

MODULES = {
    "loaded_good.py": APP,
    "loaded_missing.py": "import json\nimport stripes_of_nobody\n",
    "loaded_deep.py": "import loaded_missing\n",
    "loaded_factory.py": "def make():\n    import stripes_of_nobody\n",
    "loaded_exit.py": "import sys\nsys.exit(3)\n",
    "loaded_exit_factory.py": "import sys\ndef make():\n    sys.exit('no database')\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with modules, which are forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, text in MODULES.items():
        (tmp_path / name).write_text(text)
    yield tmp_path
    for name in MODULES:
        sys.modules.pop(name.removesuffix(".py"), None)


def test_an_app_of_another_folder(folder: Path) -> None:
    """`--app-dir` is where its modules are."""
    assert set(load_app("loaded_good:app", folder).deployment.services) == {"Hello"}


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("loaded_missing:app", "loaded_missing (line 2) imports 'stripes_of_nobody', which is not there"),
        ("loaded_deep:app", "loaded_missing (line 2) imports 'stripes_of_nobody', which is not there"),
        ("loaded_factory:make", "loaded_factory (line 2) imports 'stripes_of_nobody', which is not there"),
        ("loaded_exit:app", "ended the program while it was loaded (SystemExit: 3)"),
        ("loaded_exit_factory:make", "ended the program while it was loaded (SystemExit: no database)"),
        ("./loaded_good.py:app", "a module is named as in an import: loaded_good:app"),
        ("some/folder/good.py:app", "as in an import: good:app --app-dir some/folder"),
        ("loaded_good.py:app", "a module is named as in an import: loaded_good:app"),
        (".loaded_good:app", "write it from its top, as in loaded_good:app"),
        ("loaded_nowhere:app", "there is no module 'loaded_nowhere' here"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    folder: Path, reference: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback: the sentence says which module it is, and what to do."""
    with pytest.raises(CommandError) as caught:
        load_app(reference, folder)
    assert caught.value.code is Exit.USAGE
    assert sentence in str(caught.value)
    assert "Traceback" not in capsys.readouterr().err


def test_a_folder_that_is_not_there(folder: Path) -> None:
    """It is named."""
    with pytest.raises(CommandError, match="there is no folder"):
        load_app("loaded_good:app", folder / "src")
