"""``python -m dispatch_cli``."""

from dispatch_cli.main import app

app(prog_name="dispatch")
