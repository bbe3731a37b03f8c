"""SAM's own reading of `--parameter-overrides`, run by the Python that has SAM.

The input is JSON: lists of the words after the option. The parameters of each are printed.
"""

from __future__ import annotations

import json
import sys

from samcli.cli.types import CfnParameterOverridesType

parser = CfnParameterOverridesType()
json.dump([parser.convert(words, None, None) for words in json.load(sys.stdin)], sys.stdout)
