// A feed whose room the user changes: the page closes the socket of one room and opens that of the other.
import sockette from "sockette";

const open = (room) =>
  sockette(`ws://${location.host}/feed?room=${room}`, { timeout: 4000, onopen: () => (document.title = room) });

let socket = open("one");

function addButton(id, onclick) {
  const button = document.createElement("button");
  Object.assign(button, { id, textContent: id, onclick });
  document.getElementById("app").append(button);
}

addButton("restart", () => socket.send("restart"));
addButton("other", () => {
  socket.close();
  socket = open("two");
});
