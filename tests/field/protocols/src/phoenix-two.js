import { Socket } from "phoenix";

function openList() {
  const socket = new Socket("/socket", { params: { user: "ann" } });
  socket.connect();
  socket.channel("yard:north").join();
}

function openBadge() {
  const socket = new Socket("/socket", { params: { user: "ann" } });
  socket.connect();
  socket.channel("yard:south").join();
}

openList();
openBadge();
