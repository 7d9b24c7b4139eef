import { Socket } from "phoenix";

const socket = new Socket("/socket", { params: { user: "ann" } });
socket.connect();

function watch(topic) {
  const channel = socket.channel(topic);
  channel.on("moved", ({ number }) => { document.title = `${topic} ${number}`; });
  channel.join();
}

watch("yard:north");
watch("yard:south");
