import ReconnectingWebSocket from "reconnecting-websocket";
import { useEffect } from "react";
import { host, show } from "./Views.jsx";

function Bell() {
  useEffect(() => {
    const socket = new ReconnectingWebSocket(`ws://${host}/ws/moves`);
    return () => socket.close();
  }, []);
  return null;
}

function List() {
  useEffect(() => {
    const socket = new ReconnectingWebSocket(`ws://${host}/ws/moves`);
    return () => socket.close();
  }, []);
  return null;
}

show(<><Bell /><List /></>);
