import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { Client } from "@stomp/stompjs";

const client = new Client({ brokerURL: `ws://${location.host}/stomp`, connectHeaders: { login: "ann", passcode: "not-to-be-shown" } });
client.activate();

function Moves() {
  const [number, setNumber] = useState(0);
  useEffect(() => {
    client.subscribe("/topic/north", (message) => setNumber(JSON.parse(message.body).number));
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
