"""The parts of a PBX's set-up: they need what the PBX has, and name each other as they are."""

import ast
import os
import re
import sys
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from pbx import CALL, NUMBER, Pbx, report_of
from receiver import Receiver

ASTERISK = Path(__file__).parents[3] / "deploy" / "asterisk"
PACKAGE = ASTERISK / "reporter" / "faxhook_report"
PYTHON_3_9 = sorted(str(path) for path in Path(os.environ.get("PYENV_ROOT", "/")).glob("versions/3.9.*/bin/python"))
"""What a PBX may have; the Pythons of `make test` are newer."""


def test_the_reporter_needs_the_standard_library_of_python_3_9_and_nothing_else() -> None:
    for module in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(), feature_version=(3, 9))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] in {*sys.stdlib_module_names, "__future__"}, f"{module.name}: {name}"


@pytest.mark.skipif(not PYTHON_3_9, reason="there is no Python 3.9 here")
async def test_every_command_of_the_reporter_runs_on_python_3_9(faxhook: Receiver, pbx: Pbx) -> None:
    pbx.python = PYTHON_3_9[0]
    old, idle = pbx.tiff("old.tiff", seconds_ago=700), f"{NUMBER}_{CALL}.tiff"
    assert await pbx.run("adopt") == (0, "")
    assert await pbx.run("spool", report_of(None)) == (0, "")
    pbx.tiff(idle, seconds_ago=700)
    assert await pbx.run("sweep") == (0, "")
    assert await pbx.run("sweep", "--since", "2026-01-01T00:00:00Z") == (0, "")
    assert await pbx.run("sweep", "--since", "2026-01-01") == (0, "")
    said = [dict(parse_qsl(received.body.decode())).get("tiff_path") for received in faxhook.received]
    assert said == [None, str(pbx.faxes / idle), None, str(pbx.faxes / idle), None, str(pbx.faxes / idle)]
    assert old.exists()


def test_the_dialplan_calls_no_shell_encodes_every_value_and_names_files_as_the_sweep_reads_them() -> None:
    text = (ASTERISK / "extensions.conf").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith(";")]
    assert not [line for line in lines if re.search(r"\b(System|TrySystem|SHELL|CURL)\(", line)]
    for line in lines:
        if "Set(REPORT=" in line:
            values = re.findall(r"=(\$\{[^&]*)", line.partition("Set(REPORT=")[2].removeprefix("${REPORT}"))
            assert values
            assert all(value.startswith("${URIENCODE(") for value in values), line
    assert "${FAXHOOK_TO}_${FAXHOOK_ID}.tiff" in text


async def test_units_and_readme_name_what_there_is(pbx: Pbx) -> None:
    service = (ASTERISK / "faxhook-report.service").read_text()
    assert "ExecStart=/usr/local/bin/faxhook-report sweep" in service
    assert "SuccessExitStatus=75" in service
    code, said = await pbx.run()
    assert code == 78
    readme = (ASTERISK / "README.md").read_text()
    for name in re.findall(r"FAXHOOK_[A-Z]+", readme):
        assert name in said, name
