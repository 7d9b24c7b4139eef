// queries over the socket of GraphQL, the same one every second, beside a socket of prices and one of orders
import { graphql, plain, sink } from "./Links.js";

const client = graphql();
setInterval(() => client.subscribe({ query: "{ a }" }, sink), 1000);
plain("prices");
plain("orders");
