"""`completion SHELL`: what a shell needs to complete the command, written from its parser.

The scripts hold all the words, so that completing starts no process.
"""

from __future__ import annotations

from argparse import Action, ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage] - a public result
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, cast

from restate_patterns.cli.output import say_lines

if TYPE_CHECKING:
    Subparsers = _SubParsersAction[ArgumentParser]

SHELLS: Final = ("bash", "zsh", "fish")

_BASH: Final = """\
_restate_patterns() {{
    local typed=${{COMP_WORDS[COMP_CWORD]}} at="" each fitting
    for each in "${{COMP_WORDS[@]:1:$((COMP_CWORD-1))}}"; do
        case "$at $each" in
{paths}
        esac
    done
    case "$at:${{COMP_WORDS[$((COMP_CWORD-1))]}}" in
{values}
        *) case "$at" in
{words}
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$fitting" -- "$typed"))
}}
complete -o default -F _restate_patterns restate-patterns"""

_ZSH: Final = """\
#compdef restate-patterns
autoload -U +X bashcompinit && bashcompinit
"""


def complete(arguments: Namespace, root: ArgumentParser) -> None:
    """Print the script."""
    commands = dict(_commands("", root))
    if arguments.shell == "fish":
        say_lines("\n".join(_fish(commands)))
    else:
        say_lines(f"{_ZSH if arguments.shell == 'zsh' else ''}{_bash(commands)}")


def _commands(path: str, command: ArgumentParser) -> Iterator[tuple[str, ArgumentParser]]:
    """Give each command by the words that lead to it, each of them after a blank."""
    yield path, command
    for word, sub in _subcommands(command).items():
        yield from _commands(f"{path} {word}", sub)


def _bash(commands: Mapping[str, ArgumentParser]) -> str:
    paths = "\n".join(f'            "{path}") at="{path}" ;;' for path in commands if path)
    values = "\n".join(
        f'        "{path}:{option}") fitting="{_words(choices)}" ;;'
        for path, command in commands.items()
        for options, choices in _choices(command)
        for option in options
    )
    words = "\n".join(
        f'            "{path}") fitting="{_words([*_offered(command), *_options(command)])}" ;;'
        for path, command in commands.items()
    )
    return _BASH.format(paths=paths, values=values, words=words)


def _fish(commands: Mapping[str, ArgumentParser]) -> Iterator[str]:
    for path, command in commands.items():
        subcommands = _subcommands(command)
        seen = [f"__fish_seen_subcommand_from {word}" for word in path.split()]
        not_yet = [f"not __fish_seen_subcommand_from {_words(subcommands)}"] if subcommands else []
        when = f"complete -c restate-patterns -n '{'; and '.join([*seen, *not_yet]) or 'true'}'"
        if offered := _offered(command):
            yield f"{when} -f -a '{_words(offered)}'"
        for option in _options(command):
            if option.startswith("--"):
                yield f"{when} -l {option.removeprefix('--')}"
        for options, choices in _choices(command):
            for option in options:
                yield f"{when} -l {option.removeprefix('--')} -x -a '{_words(choices)}'"


def _actions(command: ArgumentParser) -> list[Action]:
    return command._actions


def _subcommands(command: ArgumentParser) -> Mapping[str, ArgumentParser]:
    groups = [cast("Subparsers", action) for action in _actions(command) if isinstance(action, _SubParsersAction)]
    return {word: sub for group in groups for word, sub in group.choices.items()}


def _offered(command: ArgumentParser) -> list[str]:
    """Give the words of which one comes next."""
    places = [action for action in _actions(command) if not action.option_strings and action.choices is not None]
    return [str(word) for action in places for word in action.choices or ()]


def _options(command: ArgumentParser) -> list[str]:
    return [max(action.option_strings, key=len) for action in _actions(command) if action.option_strings]


def _choices(command: ArgumentParser) -> Iterator[tuple[list[str], list[str]]]:
    for action in _actions(command):
        if action.choices is not None and action.option_strings:
            yield list(action.option_strings), [str(each) for each in action.choices]


def _words(words: Mapping[str, object] | list[str]) -> str:
    return " ".join(words)
