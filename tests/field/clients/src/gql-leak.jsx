import { createClient } from "graphql-ws";
import { useEffect } from "react";
import { Views, host, show } from "./Views.jsx";

const client = createClient({ url: `ws://${host}/graphql`, lazy: false });
const sink = { next() {}, error() {}, complete() {} };

function Yard() {
  useEffect(() => {
    client.subscribe({ query: "subscription Moved($yard: String) { moved(yard: $yard) }", variables: { yard: "a" } }, sink);
  }, []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }} />);
