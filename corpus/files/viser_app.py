"""A scene with a frame."""

import sys
import time

import viser

server = viser.ViserServer(host="127.0.0.1", port=int(sys.argv[1]))
server.scene.add_frame("/frame")
while True:
    time.sleep(60)
