import { createConsumer } from "@rails/actioncable";

const consumer = createConsumer("/cable");

function list() {
  consumer.subscriptions.create({ channel: "YardChannel", gate: "north" }, { received() {} });
}

function badge() {
  consumer.subscriptions.create({ channel: "YardChannel", gate: "south" }, { received() {} });
}

list();
setTimeout(badge, 1000);
