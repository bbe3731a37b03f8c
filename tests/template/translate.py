"""SAM's own translation of a template that comes in, run by the Python that has SAM.

Input and output are JSON: the template, and the values of its parameters.
"""

from __future__ import annotations

import json
import logging
import sys

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

logging.disable()
wanted = json.load(sys.stdin)
session = boto3.Session(region_name="eu-central-1")
translator = Translator({}, Parser(), boto_session=session)
json.dump(translator.translate(wanted["template"], wanted["parameters"]), sys.stdout)
