"""Pieces of a configuration of routes, to be put together."""

COUPONTOOLS = """
[connections.coupontools]
client_id = { env = "ID" }
client_secret = { env = "SECRET" }
"""
SESSION = 'do = "coupontools.create_single_use_session"\nwith = { campaign = "cam_9" }\n'
ON = 'on = ["client.created"]\n'
