"""What docs/privileges.md says of each privilege is what its loss shows here."""

import cgroups
import privileges
import pytest


@pytest.mark.usefixtures("pins")
def test_table_is_up_to_date() -> None:
    """The table was made by `make privileges`, and would be made the same again."""
    if not cgroups.find_root():
        pytest.skip("no cgroup v2 here")
    assert privileges.PAGE.read_text("utf-8") == privileges.written()
