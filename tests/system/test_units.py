"""The files of dist/: systemd takes the units, and they run what they say."""

import os
import re
import shutil

import pytest

from lib.lab import run
from lib.warren import binary

DIST = os.path.join(os.path.dirname(__file__), "..", "..", "dist")


def _need(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


@pytest.fixture
def units(tmp_path):
    """The units, for the programs under test."""
    os.symlink(binary("warrend"), tmp_path / "warrend")
    for name in ("warren-block.service", "warrend.service"):
        with open(os.path.join(DIST, "systemd", name + ".in")) as file:
            (tmp_path / name).write_text(file.read().replace("@sbindir@", str(tmp_path)))
    return tmp_path


def test_systemd_takes_the_units(units):
    _need("systemd-analyze")
    done = run("systemd-analyze", "verify", "--man=no", str(units / "warrend.service"),
               str(units / "warren-block.service"), check=False)
    ours = [line for line in (done.stdout + done.stderr).splitlines()
            if "warren" in line.replace(str(units), "")]
    assert ours == [] and done.returncode == 0, done.stderr


def test_the_units_lift_no_block(units):
    """S3: nothing that systemd does when it stops them touches the block."""
    for name in ("warren-block.service", "warrend.service"):
        assert not re.search(r"^ExecStop", (units / name).read_text(), re.M)


def test_the_block_comes_first(units):
    text = (units / "warren-block.service").read_text()
    assert "DefaultDependencies=no" in text and "RemainAfterExit=yes" in text
    assert re.search(r"^Before=.*network-pre\.target", text, re.M)
    assert re.search(r"^Wants=.*network-pre\.target", text, re.M)


def test_the_user(tmp_path):
    """sysusers makes the user whom the daemon becomes by default."""
    _need("systemd-sysusers")
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", os.path.join(DIST, "sysusers.d", "warren.conf"))
    assert re.search(r"^warren:", (tmp_path / "etc/passwd").read_text(), re.M)


def test_the_programs_know_the_options():
    """What the units call is what the programs take."""
    text = run(binary("warrend"), "--help").stdout
    assert "--block" in text and "--config" in text
