import { createClient } from "graphql-ws";
import { useEffect } from "react";
import { host, show } from "./Views.jsx";

const client = createClient({ url: `ws://${host}/graphql` });
const sink = { next() {}, error() {}, complete() {} };

function Bell() {
  useEffect(() => client.subscribe({ query: "subscription { moved }" }, sink), []);
  return null;
}

function List() {
  useEffect(() => client.subscribe({ query: "subscription { moved }" }, sink), []);
  return null;
}

show(<><Bell /><List /></>);
