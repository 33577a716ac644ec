"""How hard property tests look: the same examples at each run, or many others on demand.

`pytest tests/unit --hypothesis-profile=search` looks for new ones, in minutes.
"""

import rounds
from hypothesis import HealthCheck, settings

# A slow machine is no reason to fail.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("unit", _PATIENT, max_examples=rounds.EXAMPLES, derandomize=True)
settings.register_profile("search", _PATIENT, max_examples=3000)

if settings.get_current_profile_name() in ("default", "ci"):
    settings.load_profile("unit")
