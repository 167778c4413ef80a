"""Exit if Python is too old. `python3 project/python_version.py` does nothing else.

This file must remain valid in old versions of Python.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Error: this service needs Python 3.11 or later, and %s is Python %d.%d:"
        " install a newer Python, and run the command with it (for example python3.11"
        " instead of python3)" % (sys.executable, *sys.version_info[:2])
    )
