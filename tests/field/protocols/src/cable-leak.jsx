import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { createConsumer } from "@rails/actioncable";

const consumer = createConsumer("/cable");

function Moves() {
  const [number, setNumber] = useState(0);
  useEffect(() => {
    consumer.subscriptions.create("YardChannel", { received: (move) => setNumber(move.number) });
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
