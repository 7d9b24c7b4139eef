import { Client } from "@stomp/stompjs";

const options = { brokerURL: `ws://${location.host}/stomp`, connectHeaders: { login: "ann", passcode: "not-to-be-shown" } };

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
