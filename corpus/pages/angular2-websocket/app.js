// A service that connects explicitly, as users of the library reported it.
import { $WebSocket } from "angular2-websocket/angular2-websocket";

const feed = new $WebSocket(`ws://${location.host}/feed`);
feed.connect();
feed.onMessage((message) => {
  document.getElementById("app").textContent = message.data;
}, {});
