import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { HubConnectionBuilder } from "@microsoft/signalr";

const connection = new HubConnectionBuilder().withUrl("/hub").withAutomaticReconnect().build();
connection.start();

function Moves() {
  const [number, setNumber] = useState(0);
  useEffect(() => {
    connection.stream("Ticks", "north").subscribe({ next: (tick) => setNumber(tick.tick), error() {}, complete() {} });
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
