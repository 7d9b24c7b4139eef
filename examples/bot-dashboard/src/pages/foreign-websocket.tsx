// Benign: the fixed application beside a websocket that is not Socket.IO, as hot reload opens one (livereload=URL).

import { Dashboard } from "../components/dashboard";
import { show } from "../show";

const livereload = new URLSearchParams(location.search).get("livereload");
if (livereload) {
  for (let n = 0; n < 2; n += 1) {
    new WebSocket(livereload).onmessage = (event) => console.log("livereload", event.data);
  }
}

show(<Dashboard />);
