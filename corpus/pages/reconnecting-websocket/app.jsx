// A component that opens its feed in an effect and closes it in the cleanup, in a development build with StrictMode.
import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import ReconnectingWebSocket from "reconnecting-websocket";

function Feed() {
  const [state, setState] = useState("closed");
  useEffect(() => {
    const socket = new ReconnectingWebSocket(`ws://${location.host}/feed`);
    socket.addEventListener("open", () => setState("open"));
    return () => socket.close();
  }, []);
  return <p>{state}</p>;
}

createRoot(document.getElementById("app")).render(
  <StrictMode>
    <Feed />
  </StrictMode>,
);
