import { useEffect } from "react";
import mqtt from "mqtt";
import { show } from "./_views.jsx";

const client = mqtt.connect(`ws://${location.host}/mqtt`, { username: "ann", password: "not-to-be-shown" });

function View() {
  useEffect(() => {
    client.subscribe("yard/moves");
  }, []);
  return <p>view</p>;
}

show(View);
