const socket = io();
socket.on("message", (text) => document.body.append(text));
