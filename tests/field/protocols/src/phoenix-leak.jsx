import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { Socket } from "phoenix";

const socket = new Socket("/socket", { params: { user: "ann" } });
socket.connect();

function Moves() {
  const [number, setNumber] = useState(0);
  useEffect(() => {
    const channel = socket.channel("yard:north");
    channel.on("moved", (move) => setNumber(move.number));
    channel.join();
  }, []);
  return <p>{number}</p>;
}

function App() {
  const [place, setPlace] = useState(location.hash);
  useEffect(() => {
    const follow = () => setPlace(location.hash);
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return <><nav><a href="#/home">home</a> <a href="#/moves">moves</a></nav>{place === "#/moves" ? <Moves /> : <p>home</p>}</>;
}

createRoot(document.getElementById("root")).render(<App />);
