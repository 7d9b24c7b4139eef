// a chat widget, hot reload, a stream of analytics, and a GraphQL client with two subscriptions
import { analytics, chat, graphql, hotReload, sink } from "./Links.js";

hotReload();
analytics();
chat().onmessage = () => {};
const client = graphql();
client.subscribe({ query: "subscription { moved }" }, sink);
client.subscribe({ query: "subscription Yard { moved(yard: \"a\") }" }, sink);
