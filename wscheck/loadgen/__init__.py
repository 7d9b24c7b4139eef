"""Load generation inside a Locust process.

The command line never imports this package, and this package never imports socketio.

    locust_user -> generator -> page_component -> connection -> handshake, websocket_frames -> transport -> reactor

One reactor on the gevent hub watches all sockets. The only greenlets are Locust's own, one per user.
"""
