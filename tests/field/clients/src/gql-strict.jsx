import { createClient } from "graphql-ws";
import { StrictMode, useEffect } from "react";
import { host, show } from "./Views.jsx";

const client = createClient({ url: `ws://${host}/graphql` });

function Board() {
  useEffect(() => {
    client.subscribe({ query: "subscription { moved }" }, { next() {}, error() {}, complete() {} });
  }, []);
  return <p>board</p>;
}

show(<StrictMode><Board /></StrictMode>);
