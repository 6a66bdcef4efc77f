"""What looks like a credential is given to nobody, and can be blanked where the kernel shows it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.environment import DOWNLOADS, credentials_in, without_credentials
from harness.process import own_env

SECRET = "sk-ant-api03-canary-0123456789abcdef"


@pytest.mark.parametrize(
    "name",
    [
        *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "MY_APIKEY", "HF_TOKEN"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "WANDB_API_KEY"),
        *("GOOGLE_APPLICATION_CREDENTIALS", "SSH_AUTH_SOCK", "DB_PASSWORD_FILE", "DB_PASSWORD"),
        *("HUGGING_FACE_HUB_TOKEN", "NPM_TOKEN", "SLACK_WEBHOOK", "service_private_key"),
    ],
)
def test_names_of_credentials_are_known(name: str) -> None:
    given = {name: SECRET, "PATH": "/bin"}
    assert without_credentials(given) == {"PATH": "/bin"}


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "LANG", "TOKENIZERS_PARALLELISM", "CUDA_VISIBLE_DEVICES", "KEYBOARD"),
        *("GIT_AUTHOR_NAME", "OMP_NUM_THREADS", "AUTORESEARCH_CACHE", "XAUTHORITY", "TMUX"),
    ],
)
def test_what_a_child_needs_stays(name: str) -> None:
    assert without_credentials({name: "x"}) == {name: "x"}


def test_a_password_in_an_address_is_one_whatever_its_name() -> None:
    given = {"https_proxy": "http://me:secret@proxy:3128", "INDEX": "https://host/a@b", "NO": ""}
    assert credentials_in(given) == ("https_proxy",)
    assert without_credentials(given, keep=DOWNLOADS) == given


def test_our_own_children_get_none_but_what_their_work_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert SECRET not in own_env().values()
    assert [name for name, value in own_env(keep=DOWNLOADS).items() if value == SECRET] == [
        "HF_TOKEN"
    ]


WIPING = """
import os, sys
from pathlib import Path
from harness.environment import wipe
secret = os.environ.pop("CANARY")
wipe(["CANARY"])
shown = Path("/proc/self/environ").read_bytes()
assert secret.encode() not in shown, "still shown"
assert os.environ["AFTER"] == "kept" and b"AFTER=kept" in shown and b"BEFORE=kept" in shown
os.environ["LATER"] = "works"
import subprocess
print(subprocess.run(["env"], capture_output=True, text=True).stdout)
"""


def test_a_wiped_variable_is_shown_no_more_and_the_others_stay() -> None:
    said = subprocess.run(
        [sys.executable, "-c", WIPING],
        env=own_env() | {"BEFORE": "kept", "CANARY": SECRET, "AFTER": "kept"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert "LATER=works" in said.stdout
    assert SECRET not in said.stdout
