"""Locust users that open Socket.IO connections, for your own locustfiles.

    from locust import task
    from wscheck.locust import SocketUser


    class Visitor(SocketUser):
        profile = "duplicated"

        @task
        def check_status(self):
            self.call("request_bot_status")

`profile` describes what the user's page does: which connections it opens and when it reconnects. `LOAD_PROFILES` maps
the name of each profile to its description.

`LOAD_OPTIONS` are the options of a locustfile with such users. Each is an argument of Locust (`--tabs 4`) and an
environment variable (`WSCHECK_LOAD_TABS=4`). docs/load-engine.md describes them and the statistics.

`LOCUSTFILE` is the path of the package's own locustfile. Its profile comes from `WSCHECK_LOAD_PROFILE`.

Do not import socketio in the same process: Locust replaces parts of the standard library when it is imported, and
socketio must not be imported before that.
"""

from pathlib import Path

from wscheck import loadgen
from wscheck.config.load_profiles import LOAD_OPTIONS, LOAD_PROFILES, LoadOption
from wscheck.loadgen.locust_user import SocketUser
from wscheck.loadgen.page_component import PageComponent, ReconnectPolicy

__all__ = [
    "LOAD_OPTIONS",
    "LOAD_PROFILES",
    "LOCUSTFILE",
    "LoadOption",
    "PageComponent",
    "ReconnectPolicy",
    "SocketUser",
]

LOCUSTFILE = Path(loadgen.__path__[0]) / "locustfile.py"
