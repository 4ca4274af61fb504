"""A delivery to a webhook, and the secret that signs it."""

import base64

from poller.model import Delivery

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes of a secret key").decode()
ONE = Delivery("hook", 1, 1, "evt_a", "client.created", 0, 0, '{"id":"evt_a","name":"Žiga","total":10.10}'.encode())
