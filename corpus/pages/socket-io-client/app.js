// Two namespaces of one server, which share a connection. One part of the page names the default path.
import { io } from "socket.io-client";

const messages = io({ path: "/socket.io", transports: ["websocket"] });
const notices = io("/notices", { transports: ["websocket"] });

for (const socket of [messages, notices]) {
  socket.on("connect", () => document.getElementById("app").append(socket.id));
}
