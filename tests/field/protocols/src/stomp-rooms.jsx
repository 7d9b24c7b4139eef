import { useEffect } from "react";
import { Client } from "@stomp/stompjs";
import { show } from "./_views.jsx";

const client = new Client({ brokerURL: `ws://${location.host}/stomp`, connectHeaders: { login: "ann", passcode: "not-to-be-shown" } });
client.activate();

let visits = 0;

function View() {
  useEffect(() => {
    client.subscribe(`/topic/room.${(visits += 1)}`, () => {});
  }, []);
  return <p>view</p>;
}

show(View);
