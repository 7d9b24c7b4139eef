import { useEffect } from "react";
import { Socket } from "phoenix";
import { show } from "./_views.jsx";

const socket = new Socket("/socket", { params: { user: "ann" } });
socket.connect();

let visits = 0;

function View() {
  useEffect(() => {
    socket.channel(`room:${(visits += 1)}`).join();
  }, []);
  return <p>view</p>;
}

show(View);
