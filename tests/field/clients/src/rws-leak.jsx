import ReconnectingWebSocket from "reconnecting-websocket";
import { useEffect } from "react";
import { Views, host, show } from "./Views.jsx";

function Yard() {
  useEffect(() => {
    const socket = new ReconnectingWebSocket(`ws://${host}/ws/moves`);
    socket.onmessage = () => {};
  }, []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }} />);
