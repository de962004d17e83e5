"""Every command says how it is used, in its help and in the guide, and what the examples say is true.

Commands that report have --json; completion works in the shells that people have. Gives up: running the examples of
helps; tests/test_guide.py runs the guide's.
"""

import errno
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines import cli
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


GOOD = """
stage: test
target_tokens: 1k
datasets:
  - {name: a/b, path: data/*.jsonl, weight: 1, profile: none, id_field: id}
"""
BAD_INPUT = {
    "no configuration": ("plan nowhere.yaml", "nowhere.yaml: no such file"),
    "a folder as configuration": ("plan data", "data: is a folder"),
    "an empty configuration": ("plan empty.yaml", "a stage configuration is a mapping"),
    "a configuration with tabs": ("plan tabs.yaml", "tabs.yaml:5: not valid YAML: a tab; indent with spaces"),
    "a binary configuration": ("plan binary.yaml", "is not UTF-8 text"),
    "a configuration that may not be read": ("plan secret.yaml", "secret.yaml: cannot be read: Permission denied"),
    "a wrong key": ("plan key.yaml", "unknown key; did you mean 'max_epochs'?"),
    "no data": ("plan gone.yaml", "no such file or folder"),
    "a wrong option": ("plan good.yaml --tragets 1", "no such option: --tragets"),
    "a wrong command": ("plann good.yaml", "no such command 'plann'"),
    "a missing argument": ("plan", "missing argument 'CONFIG'"),
    "a negative count": ("plan good.yaml --tasks -1", "invalid value for '--tasks'"),
    "a count in words": ("run good.yaml --workers many", "invalid value for '--workers'"),
    "a huge target": ("plan good.yaml --target-tokens 1e400", "is more than any source has"),
    "a negative target": ("plan good.yaml --target-tokens=-5B", "is not a count"),
    "a folder that is no run": ("verify data", "data: not a run"),
    "no folder": ("dedup nowhere", "nowhere"),
    "a file as output folder": (
        "run good.yaml --output-folder good.yaml --logging-dir l",
        "cannot be used as a folder",
    ),
    "a file as log folder": ("run good.yaml --output-folder o --logging-dir good.yaml", "cannot be used as a folder"),
    "no permission": ("run good.yaml --output-folder locked --logging-dir l", "may not be written to"),
}


@pytest.mark.parametrize(("typed", "said"), BAD_INPUT.values(), ids=list(BAD_INPUT))
def test_bad_input_is_one_line_and_exit_status_2(
    typed: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what is wrong; no box, no usage, no traceback. Permissions are made up: tests may run as root."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "locked").mkdir()
    rows = "".join(json.dumps({"id": str(i), "text": "a text of some words " * 50}) + "\n" for i in range(50))
    (tmp_path / "data" / "a.jsonl").write_text(rows)
    for name, text in (
        ("good", GOOD), ("secret", GOOD), ("empty", ""), ("tabs", GOOD.replace("  - {", "\t- {")),
        ("key", GOOD.replace("id_field: id", "id_field: id, max_epoch: 2")), ("gone", GOOD.replace("data/", "nodata/")),
    ):  # fmt: skip
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "binary.yaml").write_bytes(b"stage: \xff")
    read, access = Path.read_text, os.access

    def refuse(path: Path, *args: Any, **kwargs: Any) -> str:
        if path.name == "secret.yaml":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return read(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", refuse)

    def may(path: Any, mode: int) -> bool:
        return access(path, mode) and not (Path(path).name == "locked" and mode & os.W_OK)

    monkeypatch.setattr(os, "access", may)
    monkeypatch.setattr(sys, "argv", ["smoltrove", *typed.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    lines = [line for line in (out + err).splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert said in lines[0]


def test_the_stage_scripts_and_the_examples_say_it_in_one_line_too() -> None:
    """`stage_main` and `datatrove_simple_example.py` go through the same door."""
    for script, option in (
        ("smollm3_stage2_datatrove_pipeline.py", "--tasks"),
        ("datatrove_simple_example.py", "--limit"),
    ):
        done = subprocess.run(
            [sys.executable, str(ROOT / script), *(["simple"] if "example" in script else []), option, "0"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert re.fullmatch(rf"error: invalid value for '{option}': .*\n", done.stderr), done.stderr


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
