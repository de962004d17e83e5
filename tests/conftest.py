"""Settings of the whole suite.

Runs of the tests leave their reports out, which would cost each of them a second; the tests of reports switch them on.
"""

import os

os.environ["SMOLTROVE_REPORT"] = "0"
