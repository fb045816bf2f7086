"""The scripts and manifests of docs/cluster.md: whether they parse, and whether their commands exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from thalweg.doors.cli.app import app

PAGE = (Path(__file__).parents[3] / "docs/cluster.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"```bash\n(#!.*?)```", PAGE, re.DOTALL)
MANIFESTS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = typer.main.get_command(app)


def options(words):
    """Return the options of a command of thalweg that do not exist."""
    known = {name for each in COMMANDS.commands[words[1]].params for name in each.opts}
    return [word for word in words if word.startswith("--") and word not in known]


def commands(manifest):
    """Return the commands of the containers of a JobSet, by the name of the replicated job."""
    for replicated in manifest["spec"]["replicatedJobs"]:
        (container,) = replicated["template"]["spec"]["template"]["spec"]["containers"]
        yield replicated["name"], container["command"], container.get("env", [])


def test_there_are_manifests_and_scripts():
    assert len(MANIFESTS) == 2 and len(SCRIPTS) == 2


@pytest.mark.parametrize("text", MANIFESTS)
def test_manifests_are_job_sets_whose_commands_exist(text):
    """They were not run on Kubernetes: what can be known here is their form."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which Dask brings")
    manifest = yaml.safe_load(text)
    assert (manifest["kind"], manifest["apiVersion"]) == ("JobSet", "jobset.x-k8s.io/v1alpha2")
    names = [name for name, _, _ in commands(manifest)]
    hosts = {f"{manifest['metadata']['name']}-{name}-0-0.{manifest['metadata']['name']}" for name in names}
    said = set(re.findall(r"[\w.-]+-0-0\.[\w-]+", text))
    assert said and said <= hosts, "a pod's name is JobSet-job-replica-pod.JobSet"
    for _, words, _ in commands(manifest):
        words = words[2].split()[1:] if words[0] == "sh" else words
        assert words[0] in ("dask", "thalweg")
        assert words[0] == "dask" or options(words) == []
    for replicated in manifest["spec"]["replicatedJobs"]:
        pod = replicated["template"]["spec"]["template"]["spec"]
        mounted = {each["name"] for c in pod["containers"] for each in c.get("volumeMounts", [])}
        assert mounted <= {each["name"] for each in pod.get("volumes", [])}


@pytest.mark.parametrize("text", SCRIPTS)
def test_scripts_are_bash_whose_commands_exist(text):
    if shutil.which("bash") is not None:
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    line = text.replace("\\\n", " ")
    words = re.search(r"thalweg (?:sweep|fit) [^&\n]*", line)
    assert words is not None and options(words[0].split()) == []
