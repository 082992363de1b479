"""compose.yaml: valid for Docker Compose, and every file it mounts exists."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

COMPOSE = Path(__file__).resolve().parents[2] / "compose" / "compose.yaml"


def compose_command() -> list[str]:
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True)
        if plugin.returncode == 0:
            return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("neither `docker compose` nor `docker-compose` is here; install Docker's Compose plugin to run this")


def test_docker_compose_accepts_it() -> None:
    command = compose_command()
    done = subprocess.run([*command, "-f", str(COMPOSE), "config", "-q"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_everything_mounted_exists_and_everything_needed_is_a_service() -> None:
    whole = yaml.safe_load(COMPOSE.read_text())
    services, volumes = whole["services"], whole["volumes"]
    assert {"prometheus", "alertmanager", "grafana", "postgres", "engine", "api"} <= services.keys()
    for name, service in services.items():
        assert "image" in service, name
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            if source.startswith("."):
                assert (COMPOSE.parent / source).exists(), f"{name} mounts {source}"
            else:
                assert source in volumes, f"{name} uses volume {source}"
        for needed in service.get("depends_on", ()):
            assert needed in services, f"{name} needs {needed}"
        for published in service.get("ports", ()):
            assert published.startswith("127.0.0.1:"), f"{name} is published beyond this machine: {published}"
