import { createClient } from "graphql-ws";
import { useEffect } from "react";
import { Views, host, show } from "./Views.jsx";

const client = createClient({ url: `ws://${host}/graphql`, lazy: false });
const sink = { next() {}, error() {}, complete() {} };
const query = "subscription Moved($yard: String) { moved(yard: $yard) }";

function Bell() {
  useEffect(() => client.subscribe({ query, variables: { yard: "all" } }, sink), []);
  return null;
}

function Yard() {
  useEffect(() => client.subscribe({ query, variables: { yard: "a" } }, sink), []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }}><Bell /></Views>);
