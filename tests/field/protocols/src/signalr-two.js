import { HubConnectionBuilder } from "@microsoft/signalr";

function connect() {
  return new HubConnectionBuilder().withUrl("/hub").withAutomaticReconnect().build();
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
