import re

from training.commands import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_examples_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(compile(block, "README.md", "exec"), names)
        assert len(names["reading"].sentences) == 2  # type: ignore[attr-defined]


def test_ci_runs_the_readmes_test_command() -> None:
    command = re.findall(r"```sh\n(.*?)\n```", README, flags=re.DOTALL)[1]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for step in command.replace(".venv", '"$venv"').split(" && "):
        words = step.replace('"$venv"/bin/', '"$venv/bin/').split()
        program = words[0] + ('"' if words[0].startswith('"$venv') else "")
        assert any(line.startswith(program) and all(word in line for word in words[1:]) for line in ci.splitlines()), step


def test_every_file_named_in_the_layout_exists() -> None:
    for name in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / name).exists(), name
