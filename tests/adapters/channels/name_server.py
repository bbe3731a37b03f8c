"""A real name server on loopback whose record moves, and the client below it that is to be fooled.

Run as a program inside of separate namespaces (``unshare``), where it may bind port 53 and name
itself in ``/etc/resolv.conf``: there the system's resolver asks it, and no other server.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from dnslib import AAAA, QTYPE, RR, A, DNSRecord

from channels.guard import BlockedError, Guard, NoResponseError
from dispatcher.integrations.egress import EgressPolicy, permitted

HOST = "rebind.example.org"
PUBLIC, METADATA = "93.184.216.34", "169.254.169.254"


class NameServer:
    """Returns its addresses for A queries one after the other, the last forever; TTL is 0."""

    def __init__(self, *addresses, port=0):
        self.asked = []
        self._addresses = list(addresses)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            data, caller = self._socket.recvfrom(4096)
            query = DNSRecord.parse(data)
            kind = QTYPE[query.q.qtype]
            reply = query.reply()
            self.asked.append((kind, str(query.q.qname).rstrip(".")))
            if kind == "A":
                more = len(self._addresses) > 1
                address = self._addresses.pop(0) if more else self._addresses[0]
                for one in address.split():
                    reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A(one), ttl=0))
            elif kind == "AAAA" and "aaaa" in query.q.qname.label[0].decode():
                reply.add_answer(RR(query.q.qname, QTYPE.AAAA, rdata=AAAA("::1"), ttl=0))
            self._socket.sendto(reply.pack(), caller)

    def ask(self, host, port, **_options):
        """Resolve as ``socket.getaddrinfo`` does, by one query over UDP."""
        answer = DNSRecord.parse(DNSRecord.question(host).send("127.0.0.1", self.port, timeout=5))
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (str(one.rdata), port)) for one in answer.rr
        ]


def attacked(url, times, seen):
    """Send again and again; return what came of each, and every address that was dialled."""
    dialled, results = [], []

    def dial(address, _port, _seconds):
        dialled.append(str(address))
        raise ConnectionRefusedError

    guard = Guard(egress=EgressPolicy(), dial=dial)
    for _ in range(times):
        try:
            guard.send(permitted(url, EgressPolicy()), "POST", {}, b"")
        except BlockedError:
            results.append("blocked")
        except NoResponseError as error:
            results.append(error.code)
    return {"results": results, "dialled": dialled, "connects": seen}


def main():
    """Be the only name server of this namespace, attack the client, and print what was seen."""
    with socket.socket() as any_socket:
        loopback_is_up = struct.pack("16sh", b"lo", 0x49)
        fcntl.ioctl(any_socket, 0x8914, loopback_is_up)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as own:
        own.write("nameserver 127.0.0.1\noptions attempts:1 timeout:2\n")
        own.flush()
        target = Path("/etc/resolv.conf").resolve()
        subprocess.run(["mount", "--bind", own.name, str(target)], check=True)
        server = NameServer(PUBLIC, METADATA, f"{PUBLIC} {METADATA}", PUBLIC, port=53)
        seen = []
        sys.addaudithook(
            lambda event, arguments: (
                seen.append(arguments[1][0])
                if event == "socket.connect" and arguments[1][0] != "127.0.0.1"
                else None
            )
        )
        found = attacked(f"https://{HOST}/", 4, seen)
        mixed = attacked("https://aaaa.example.org/", 1, seen)
    json.dump({**found, "asked": server.asked, "mixed": mixed["results"]}, sys.stdout)


if __name__ == "__main__":
    main()
