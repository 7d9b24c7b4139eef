import { createClient } from "graphql-ws";
import { useEffect } from "react";
import { Views, host, show } from "./Views.jsx";

const client = createClient({ url: `ws://${host}/graphql`, lazy: false });
const listeners = new Set();
let started = false;

// The first view that needs the news subscribes for all, and the subscription stays.
function listen(listener) {
  if (!started) {
    started = true;
    client.subscribe({ query: "subscription News { moved }" }, { next: (data) => listeners.forEach((each) => each(data)), error() {}, complete() {} });
  }
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function Yard() {
  useEffect(() => listen(() => {}), []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }} />);
