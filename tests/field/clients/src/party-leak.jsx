import { PartySocket } from "partysocket";
import { useEffect } from "react";
import { Views, host, show } from "./Views.jsx";

function Yard() {
  useEffect(() => {
    const socket = new PartySocket({ host, room: "yard" });
    socket.onmessage = () => {};
  }, []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }} />);
