import { HubConnectionBuilder } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

const connection = new HubConnectionBuilder().withUrl("/packed").withHubProtocol(new MessagePackHubProtocol()).withAutomaticReconnect().build();

function list() {
  connection.stream("Ticks", "north").subscribe({ next() {}, error() {}, complete() {} });
}

function badge() {
  connection.stream("Ticks", "north").subscribe({ next() {}, error() {}, complete() {} });
}

connection.start().then(() => { list(); badge(); });
