import { useEffect } from "react";
import mqtt from "mqtt";
import { show } from "./_views.jsx";

const client = mqtt.connect(`ws://${location.host}/mqtt`, { username: "ann", password: "not-to-be-shown" });

let visits = 0;

function View() {
  useEffect(() => {
    client.subscribe(`room/${(visits += 1)}`);
  }, []);
  return <p>view</p>;
}

show(View);
