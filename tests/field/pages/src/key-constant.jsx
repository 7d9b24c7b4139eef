import { useEffect, useState } from "react";
import { io } from "socket.io-client";
import { mount } from "./mount.jsx";
import { where } from "./options.js";

function Scanner() {
  useEffect(() => {
    const socket = io(where());
    socket.on("parcel_moved", () => {});
    return () => socket.disconnect();
  }, []);
  return <p>scanner</p>;
}

function Hall() {
  const [second, setSecond] = useState(0);
  useEffect(() => {
    const clock = setInterval(() => setSecond((count) => count + 1), 400);
    return () => clearInterval(clock);
  }, []);
  return <main><h1>{second}</h1><Scanner key="hall" /></main>;
}

mount(<Hall />);
