import { createClient } from "graphql-ws";
import { useEffect } from "react";
import { host, show } from "./Views.jsx";

const client = createClient({ url: `ws://${host}/graphql` });

function useMoves() {
  useEffect(() => client.subscribe({ query: "subscription { moved }" }, { next() {}, error() {}, complete() {} }), []);
}

function Row({ name }) {
  useMoves();
  return <li>{name}</li>;
}

show(<ul><Row name="a" /><Row name="b" /><Row name="c" /></ul>);
