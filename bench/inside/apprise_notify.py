"""The same messages, sent by Apprise to the same receiver.

It prints a line of JSON: processor and wall seconds of each message.
"""

import json
import os
import sys
import time

import apprise

URL, COUNT, WARM = sys.argv[1], int(sys.argv[2]), 20

with open(os.environ["CONTENT"]) as file:  # noqa: PTH123 - as the other scripts here
    sent = json.load(file)
notifier = apprise.Apprise()
notifier.add(URL.replace("http://", "json://"))
for number in range(-WARM, COUNT):
    if number == 0:
        cpu, wall = time.process_time(), time.perf_counter()
    if not notifier.notify(body=sent["content"], title=sent["subject"]):
        sys.exit("Apprise did not deliver")
taken = [time.process_time() - cpu, time.perf_counter() - wall]
sys.stdout.write(json.dumps([one / COUNT for one in taken]) + "\n")
