import SockJS from "sockjs-client";
import { useEffect } from "react";
import { host, show } from "./Views.jsx";

function Bell() {
  useEffect(() => {
    const socket = new SockJS(`http://${host}/sock`);
    return () => socket.close();
  }, []);
  return null;
}

function List() {
  useEffect(() => {
    const socket = new SockJS(`http://${host}/sock`);
    return () => socket.close();
  }, []);
  return null;
}

show(<><Bell /><List /></>);
