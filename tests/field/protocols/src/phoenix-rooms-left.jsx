import { useEffect } from "react";
import { Socket } from "phoenix";
import { show } from "./_views.jsx";

const socket = new Socket("/socket", { params: { user: "ann" } });
socket.connect();

let visits = 0;

function View() {
  useEffect(() => {
    const room = socket.channel(`room:${(visits += 1)}`);
    room.join();
    return () => room.leave();
  }, []);
  return <p>view</p>;
}

show(View);
