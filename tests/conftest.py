"""How Hypothesis runs everywhere: a slow or busy machine is no failure."""

from hypothesis import HealthCheck, settings

settings.register_profile("poller", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("poller")
