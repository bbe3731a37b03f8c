"""Bodies that requests posts one after the other over one connection, as a plain script would.

It prints a line of JSON: processor and wall seconds of each post.
"""

import json
import os
import sys
import time

import requests

URL, COUNT, WARM = sys.argv[1], int(sys.argv[2]), 20

with open(os.environ["CONTENT"]) as file:  # noqa: PTH123 - as the other scripts here
    sent = json.load(file)
data = {
    "delivery_id": "019aae2c-8f00-7000-8a5b-3c1d2e4f5a01",
    "request_id": "019aae2c-8f00-7000-8a5b-3c1d2e4f5a00",
    "session_id": None,
    "user_id": "ada@example.com",
    "subject": sent["subject"],
    "content": sent["content"],
    "agent_id": None,
}
event = {"type": "integration.message", "timestamp": "2026-11-22T21:25:36.183Z", "data": data}
body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
headers = {"Content-Type": "application/json"}

with requests.Session() as session:
    for number in range(-WARM, COUNT):
        if number == 0:
            cpu, wall = time.process_time(), time.perf_counter()
        session.post(URL, data=body, headers=headers, timeout=10).raise_for_status()
    taken = [time.process_time() - cpu, time.perf_counter() - wall]
sys.stdout.write(json.dumps([one / COUNT for one in taken]) + "\n")
