import { PartySocket } from "partysocket";
import { useEffect } from "react";
import { host, show } from "./Views.jsx";

function Bell() {
  useEffect(() => {
    const socket = new PartySocket({ host, room: "yard" });
    return () => socket.close();
  }, []);
  return null;
}

function List() {
  useEffect(() => {
    const socket = new PartySocket({ host, room: "yard" });
    return () => socket.close();
  }, []);
  return null;
}

show(<><Bell /><List /></>);
