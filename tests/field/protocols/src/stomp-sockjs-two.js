import { Client } from "@stomp/stompjs";
import SockJS from "sockjs-client";

const options = { webSocketFactory: () => new SockJS("/sock"), connectHeaders: { login: "ann", passcode: "not-to-be-shown" } };

function openList() {
  const client = new Client(options);
  client.onConnect = () => client.subscribe("/topic/north", () => {});
  client.activate();
}

function openBadge() {
  const client = new Client(options);
  client.onConnect = () => client.subscribe("/topic/south", () => {});
  client.activate();
}

openList();
openBadge();
