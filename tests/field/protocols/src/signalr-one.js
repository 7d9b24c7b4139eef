import { HubConnectionBuilder } from "@microsoft/signalr";

const connection = new HubConnectionBuilder().withUrl("/hub").withAutomaticReconnect().build();

function list() {
  connection.stream("Ticks", "north").subscribe({ next() {}, error() {}, complete() {} });
}

function badge() {
  connection.on("moved", ({ number }) => { document.title = number; });
}

connection.start().then(() => { list(); badge(); });
