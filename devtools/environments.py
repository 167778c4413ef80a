"""Virtual environments of programs whose packages conflict with the service's."""

import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path

from devtools.servers import ROOT


def create_environment(name: str, requirements: Path) -> Path:
    """Return the folder of an environment's programs.

    The environment is in `instance/`. It is created if it does not exist or the
    requirements have changed.

    Args:
        name: of what needs the packages.
    """
    digest = sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = ROOT / "instance" / f"{name}-{digest}"
    complete = folder / "complete"
    if not complete.exists():
        print(f"Installing the packages of {name} …", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        options = ["-q", "--require-hashes", "-r", str(requirements)]
        python = folder / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", *options], check=True)
        complete.touch()
    return folder / "bin"
