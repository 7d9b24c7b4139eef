import { HubConnectionBuilder } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

const connection = new HubConnectionBuilder().withUrl("/packed").withHubProtocol(new MessagePackHubProtocol()).withAutomaticReconnect().build();

function list() {
  connection.stream("Ticks", "north").subscribe({ next() {}, error() {}, complete() {} });
}

function badge() {
  connection.on("moved", ({ number }) => { document.title = number; });
}

connection.start().then(() => { list(); badge(); });
