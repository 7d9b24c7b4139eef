import { useEffect } from "react";
import { Pusher, options } from "./Pusher.js";
import { Views, show } from "./Views.jsx";

const pusher = new Pusher("depot-key", options);

function Yard() {
  useEffect(() => {
    pusher.subscribe("yard").bind("moved", () => {});
  }, []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }} />);
