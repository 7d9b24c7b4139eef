// a GraphQL subscription in StrictMode, which subscribes, ends and subscribes again; a chat widget beside it
import { StrictMode, useEffect } from "react";
import { chat, graphql, sink } from "./Links.js";
import { show } from "./Views.jsx";

const client = graphql();
chat();

function Board() {
  useEffect(() => client.subscribe({ query: "subscription { moved }" }, sink), []);
  return <p>board</p>;
}

show(<StrictMode><Board /></StrictMode>);
