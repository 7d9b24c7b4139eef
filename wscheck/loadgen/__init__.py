"""Load generation inside a Locust process.

The command line never imports this package, and this package never imports socketio.

    locust_user -> generator -> page_component -> connection -> handshake, websocket_frames -> transport -> reactor

One reactor on the gevent hub watches all sockets. The only greenlets are Locust's own, one per user.

worker     Locust process that simulates users; with several workers, a master process adds up their reports
component  part of a simulated page that has at most one connection at a time
profile    behaviour of each user's page (docs/load.md, "What users do")
steps      events that are sent or awaited after connecting, such as a login ([connect] in wscheck.toml)
kind       name under which failures with the same reason are counted, such as "http-502" (docs/load-engine.md)
greeting   event that a server sends to each new connection
"""
