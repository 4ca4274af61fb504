"""Commands that tell of the command line itself: its manual page, and what shells complete by."""

import click
from click.shell_completion import get_completion_class

from poller import __version__
from poller.cli import Row

_INTRODUCTION = "follow the Space Invoices API, and tell every change as an event"
_FILES = (
    (
        "./config.toml, /etc/poller/config.toml",
        "The configuration, where neither --config nor $POLLER_CONFIG names it.",
    ),
    ("state/poller.db", "The state, unless [state] path names another file; its log, lock and socket lie beside it."),
)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what completes commands in a shell.

    \b
    bash: poller completion bash > ~/.local/share/bash-completion/completions/poller
    zsh:  poller completion zsh > _poller, in a folder of $fpath
    fish: poller completion fish > ~/.config/fish/completions/poller.fish
    """  # noqa: D301 - click's mark for lines to be left as they are
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(made(click.get_current_context().find_root().command, {}, "poller", "_POLLER_COMPLETE").source())


@click.command()
def man() -> None:
    """Print the manual page, poller(1).

    From these very help texts. To read it: poller man | man -l -
    """
    click.echo(page(click.get_current_context().find_root().command), nl=False)


def page(main: click.Command) -> str:
    """The whole page, in man(7)."""
    head = [
        f'.TH POLLER 1 "" "poller {__version__}" "User Commands"',
        *(".SH NAME", f"poller \\- {_text(_INTRODUCTION)}"),
        *(".SH SYNOPSIS", ".B poller", r"[\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGS\fR]..."),
        *(".SH DESCRIPTION", *_paragraphs(main.help or "")),
        *(".SH OPTIONS", *_options(main)),
        ".SH COMMANDS",
    ]
    group = main if isinstance(main, click.Group) else click.Group()
    foot = [".SH EXIT STATUS", _text(" ".join((main.epilog or "").removeprefix("Exit codes: ").split()))]
    foot += [".SH FILES"]
    for name, told in _FILES:
        foot += [".TP", f".I {_text(name)}", _text(told)]
    return "\n".join([*head, *_commands(group, "poller"), *foot]) + "\n"


def _commands(group: click.Group, above: str) -> list[str]:
    lines: list[str] = []
    for name, row in group.commands.items():
        command = row.whole() if isinstance(row, Row) else row
        if command.hidden:
            continue
        usage = " ".join(command.collect_usage_pieces(click.Context(command, info_name=name)))
        lines += [f'.SS "{_text(f"{above} {name}")}"', rf"\fB{_text(f'{above} {name}')}\fR {_text(usage)}", ".PP"]
        lines += [*_paragraphs(command.help or ""), *_options(command)]
        if isinstance(command, click.Group):
            lines += _commands(command, f"{above} {name}")
    return lines


def _options(command: click.Command) -> list[str]:
    lines = []
    for param in command.get_params(click.Context(command)):
        record = param.get_help_record(click.Context(command)) if isinstance(param, click.Option) else None
        if record is not None and "--help" not in record[0]:
            lines += [".TP", f".B {_text(record[0])}", _text(record[1]) or r"\&"]
    return lines


def _paragraphs(text: str) -> list[str]:
    """Click's help: paragraphs, of which those that begin with its mark are kept as they are."""
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        rows = paragraph.strip("\n").splitlines()
        if rows[0].strip() == "\b":
            lines += [".PP", ".nf", *map(_text, rows[1:]), ".fi"]
        else:
            lines += [".PP", _text(" ".join(row.strip() for row in rows))]
    return lines[1:] if lines[:1] == [".PP"] else lines


def _text(text: str) -> str:
    """A line of text that troff takes for nothing else."""
    safe = text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq").replace("\n", " ")
    return rf"\&{safe}" if safe.startswith((".", "'")) else safe
