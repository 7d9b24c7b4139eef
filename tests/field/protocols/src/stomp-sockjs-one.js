import { Client } from "@stomp/stompjs";
import SockJS from "sockjs-client";

const client = new Client({ webSocketFactory: () => new SockJS("/sock"), connectHeaders: { login: "ann", passcode: "not-to-be-shown" } });

function list() {
  client.subscribe("/topic/north", () => {});
}

function badge() {
  client.subscribe("/topic/south", () => {});
}

client.onConnect = () => { list(); badge(); };
client.activate();
