// GraphQL, Pusher and SockJS, one client of each
import { graphql, pusher, sink, sockjs } from "./Links.js";

graphql().subscribe({ query: "subscription { moved }" }, sink);
pusher().subscribe("yard").bind("moved", () => {});
sockjs().onmessage = () => {};
