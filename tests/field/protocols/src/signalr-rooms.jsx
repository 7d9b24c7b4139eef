import { useEffect } from "react";
import { HubConnectionBuilder } from "@microsoft/signalr";
import { show } from "./_views.jsx";

const connection = new HubConnectionBuilder().withUrl("/hub").withAutomaticReconnect().build();
connection.start();

let visits = 0;

function View() {
  useEffect(() => {
    connection.stream("Ticks", `room-${(visits += 1)}`).subscribe({ next() {}, error() {}, complete() {} });
  }, []);
  return <p>view</p>;
}

show(View);
