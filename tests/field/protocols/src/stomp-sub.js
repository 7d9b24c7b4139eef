import { Client } from "@stomp/stompjs";

const client = new Client({ brokerURL: `ws://${location.host}/stomp`, connectHeaders: { login: "ann", passcode: "not-to-be-shown" } });

function list() {
  client.subscribe("/topic/north", () => {});
}

function badge() {
  client.subscribe("/topic/north", () => {});
}

client.onConnect = () => { list(); badge(); };
client.activate();
