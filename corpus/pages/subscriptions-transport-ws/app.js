// News, with a part of the page that subscribes when the connection is lost, as a list does that loads what it missed.
import { SubscriptionClient } from "subscriptions-transport-ws";

const client = new SubscriptionClient(`ws://${location.host}/graphql`, { reconnect: true });
const subscribe = (query) => client.request({ query }).subscribe({ next: (news) => console.log(news) });

subscribe("subscription { news }");
client.onDisconnected(() => subscribe("subscription { missed }"));

const button = document.createElement("button");
Object.assign(button, { id: "restart", textContent: "server restarts" });
button.onclick = () => client.client.send("restart");
document.getElementById("app").append(button);
