import { HubConnectionBuilder } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

function connect() {
  return new HubConnectionBuilder().withUrl("/packed").withHubProtocol(new MessagePackHubProtocol()).withAutomaticReconnect().build();
}

function openList() {
  const connection = connect();
  connection.on("moved", () => {});
  connection.start();
}

function openBadge() {
  const connection = connect();
  connection.on("moved", () => {});
  connection.start();
}

openList();
openBadge();
