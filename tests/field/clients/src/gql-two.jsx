import { createClient } from "graphql-ws";
import { useEffect } from "react";
import { host, show } from "./Views.jsx";

const sink = { next() {}, error() {}, complete() {} };

function Bell() {
  useEffect(() => {
    const client = createClient({ url: `ws://${host}/graphql`, lazy: false });
    client.subscribe({ query: "subscription { moved }" }, sink);
    return () => client.dispose();
  }, []);
  return null;
}

function List() {
  useEffect(() => {
    const client = createClient({ url: `ws://${host}/graphql`, lazy: false });
    client.subscribe({ query: "subscription { moved }" }, sink);
    return () => client.dispose();
  }, []);
  return null;
}

show(<><Bell /><List /></>);
