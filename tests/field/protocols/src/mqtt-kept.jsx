import { useEffect } from "react";
import mqtt from "mqtt";
import { show } from "./_views.jsx";

const client = mqtt.connect(`ws://${location.host}/mqtt`, { username: "ann", password: "not-to-be-shown" });
const gates = new Set();

/** The store keeps what a view has asked for once. */
function keep(gate) {
  if (gates.has(gate)) return;
  gates.add(gate);
  client.subscribe(`gates/${gate}`);
}

function View() {
  useEffect(() => {
    for (const gate of ["north", "south", "east"]) keep(gate);
  }, []);
  return <p>view</p>;
}

show(View);
