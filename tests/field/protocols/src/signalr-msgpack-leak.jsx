import { useEffect } from "react";
import { HubConnectionBuilder } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { show } from "./_views.jsx";

const connection = new HubConnectionBuilder().withUrl("/packed").withHubProtocol(new MessagePackHubProtocol()).build();
connection.start();

function View() {
  useEffect(() => {
    connection.stream("Ticks", "north").subscribe({ next() {}, error() {}, complete() {} });
  }, []);
  return <p>view</p>;
}

show(View);
