import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { RealtimeClient } from "@supabase/realtime-js";

const supabase = new RealtimeClient(`ws://${location.host}/realtime/v1`, { params: { apikey: "public-anon-key" } });
supabase.connect();

function Moves() {
  const [number, setNumber] = useState(0);
  useEffect(() => {
    const changes = { event: "INSERT", schema: "public", table: "moves" };
    supabase.channel(`moves-${crypto.randomUUID()}`).on("postgres_changes", changes, (move) => setNumber(move.new.id)).subscribe();
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
