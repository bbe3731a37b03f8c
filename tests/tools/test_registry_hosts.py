"""No file names the host of a package registry."""

from __future__ import annotations

import pytest

from tools import registry_hosts


@pytest.mark.parametrize("name", [("pypi", "org"), ("files", "pythonhosted", "org")])
def test_a_host_is_found_with_its_line(name):
    """Put together here, or this file would be found itself."""
    host = ".".join(name)

    assert registry_hosts.named_in(f"first\nsee https://{host}/simple\n") == [(2, host)]


@pytest.mark.parametrize("text", ["example.org", "a pypi package", "npm install"])
def test_other_names_are_fine(text):
    """Packages and other hosts may be named."""
    assert registry_hosts.named_in(text) == []
