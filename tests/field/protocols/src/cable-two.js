import { createConsumer } from "@rails/actioncable";

function openList() {
  createConsumer("/cable").subscriptions.create({ channel: "YardChannel", gate: "north" }, { received() {} });
}

function openBadge() {
  createConsumer("/cable").subscriptions.create({ channel: "YardChannel", gate: "south" }, { received() {} });
}

openList();
openBadge();
