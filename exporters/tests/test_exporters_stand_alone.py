"""The package stands alone: it runs beside other people's services and brings nothing along."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
before = set(sys.modules)
import rating_exporters, rating_exporters.cli
from importlib.metadata import distribution
brought = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(sorted(brought), [r for r in distribution("rating-exporters").requires or [] if "extra ==" not in r])
print(all(hasattr(rating_exporters, name) for name in rating_exporters.__all__))
"""


def test_importing_it_brings_prometheus_client_and_nothing_else() -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        "['prometheus_client', 'rating_exporters'] ['prometheus-client>=0.22']",
        "True",
    ]
