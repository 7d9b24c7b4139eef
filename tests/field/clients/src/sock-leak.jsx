import SockJS from "sockjs-client";
import { useEffect } from "react";
import { Views, host, show } from "./Views.jsx";

function Yard() {
  useEffect(() => {
    const socket = new SockJS(`http://${host}/sock`);
    socket.onmessage = () => {};
  }, []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }} />);
