"""Scenes and their servers."""

import pytest
from systems.acting import acting, steps
from systems.scenes import SCENES, SERVERS


@pytest.fixture
def stage():
    """Do the action of a scene at its server: ``stage(do)`` gives the scene, the server and who acts."""
    entered = []

    def enter(context):
        entered.append(context)
        return context.__enter__()

    def make(do, given=None, **options):
        scene, name = SCENES[do], do.partition(".")[0]
        server = enter(SERVERS[name]())
        scene.ready(server)
        actor = enter(acting((name, server.url), definition=steps((do, given or scene.given)), **options))
        return scene, server, actor

    yield make
    for context in reversed(entered):
        context.__exit__(None, None, None)
