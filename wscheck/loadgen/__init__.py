"""What runs inside a Locust process; never imported by the command line, and never together with socketio.

    profiles -> user -> holding -> connection -> (polling | frames, upgrade) -> link -> reactor

One reactor on the gevent hub watches every socket; the only greenlets are Locust's own, one per user.
"""
