import { useEffect } from "react";
import { Pusher, options } from "./Pusher.js";
import { Views, show } from "./Views.jsx";

const pusher = new Pusher("depot-key", options);
pusher.subscribe("news").bind("moved", () => {});

function Yard() {
  useEffect(() => {
    pusher.subscribe("yard").bind("moved", () => {});
    return () => pusher.unsubscribe("yard");
  }, []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }} />);
