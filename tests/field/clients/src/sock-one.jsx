import SockJS from "sockjs-client";
import { useEffect } from "react";
import { Views, host, show } from "./Views.jsx";

function Yard() {
  useEffect(() => {
    const socket = new SockJS(`http://${host}/sock`);
    return () => socket.close();
  }, []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }} />);
