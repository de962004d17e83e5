"""Every command says how it is used, in its help and in the guide, and what the examples say is true.

Commands that report have --json; completion works in the shells that people have. Gives up: running the examples of
helps; tests/test_guide.py runs the guide's.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data import ROOT
from tests.test_guide_covers import commands

GUIDE = (ROOT / "DATATROVE_GUIDE.md").read_text(encoding="utf-8")
WITHOUT_REPORT = {"schema", "example"}
"""`schema` prints JSON anyway; the examples are three short scripts to copy."""
LEAVES = {name: command for name, command in commands() if not getattr(command, "commands", None)}


def example_of(name: str) -> str:
    """The command line after `Example:` in a help text."""
    match = re.search(r"^\s*Example: (.+)$", LEAVES[name].help or "", re.MULTILINE)
    assert match, f"{name}: its help has no line `Example: ...`"
    return match[1].strip()


@pytest.mark.parametrize("name", LEAVES)
def test_every_help_has_an_example_that_can_be_typed(name: str) -> None:
    """It names the command itself, and every option and argument in it is one that the command takes."""
    command = LEAVES[name]
    words = shlex.split(example_of(name))
    if name.startswith("smoltrove "):
        assert words[:2] == name.split()
        arguments = words[2:]
    else:
        assert words[0] == "python"
        assert (ROOT / words[1]).is_file()
        assert name == "example" or name.split()[1] in words[1]
        arguments = words[2:]
    context = command.make_context(name, arguments)
    assert context.params
    for value in arguments:
        if value.startswith(("configs/", "examples/")):
            assert (ROOT / value).exists(), f"{name}: {value} is not there"


def test_an_example_with_an_invented_option_would_be_found() -> None:
    with pytest.raises(Exception, match="No such option"):
        LEAVES["smoltrove verify"].make_context("verify", ["run", "--no-such-option"])


@pytest.mark.parametrize("name", [name for name in LEAVES if name.startswith("smoltrove ")])
def test_every_example_is_in_the_guide(name: str) -> None:
    """In the table of commands, beside what the command is for."""
    row = f"| `{name}` | "
    lines = [line for line in GUIDE.splitlines() if line.startswith(row)]
    assert len(lines) == 1, f"put one row into the guide's table of commands: {row}... | `{example_of(name)}` |"
    assert lines[0].endswith(f" | `{example_of(name)}` |"), f"the guide has another example than the help: {lines[0]}"


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_that_reports_has_json(name: str) -> None:
    options = {option for param in LEAVES[name].params for option in param.opts}
    assert name.split()[-1] in WITHOUT_REPORT or "--json" in options
    assert name == "example" or "--debug" in options


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """An environment in which `smoltrove` is found."""
    script = tmp_path / "bin" / "smoltrove"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom pipelines.cli import main\nmain()\n")
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "SHELL": "/bin/bash"}


def run(command: list[str], env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_bash_completes_commands_and_options(program: dict[str, str], tmp_path: Path) -> None:
    """Installed as the guide says, and asked as bash asks."""
    done = run(["bash", "-c", "smoltrove --install-completion; true"], program)
    assert "completion installed" in done.stdout, done.stdout + done.stderr
    assert "smoltrove" in (tmp_path / ".bashrc").read_text()
    script = f"source {tmp_path}/.bash_completions/smoltrove.sh"
    for typed, expected in (("smoltrove exp", "export"), ("smoltrove dedup run --dedup-c", "--dedup-cache")):
        words = f"COMP_WORDS=({typed}); COMP_CWORD={len(typed.split()) - 1}"
        asked = f'{script}; {words}; _smoltrove_completion smoltrove; echo "${{COMPREPLY[@]}}"'
        done = run(["bash", "-c", asked], program)
        assert done.stdout.split() == [expected], done.stderr


SIGNS = {"bash": "complete -o default", "zsh": "#compdef smoltrove", "fish": "complete --command smoltrove"}


@pytest.mark.parametrize("shell", SIGNS)
def test_show_completion_prints_a_script_for_the_shell(program: dict[str, str], shell: str) -> None:
    """Without a shell to ask, typer takes its name as the option's value."""
    env = {**program, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = run(["smoltrove", "--show-completion", shell], env)
    assert done.returncode == 0, done.stderr
    assert SIGNS[shell] in done.stdout


def test_stage_scripts_and_commands_have_the_same_options() -> None:
    """`run` and the stages are one thing, but for the configuration."""
    of = {name: {o for p in LEAVES[name].params for o in p.opts} for name in ("smoltrove run", "stage 1")}
    assert of["stage 1"] - {"--config"} == of["smoltrove run"] - {"config"}
