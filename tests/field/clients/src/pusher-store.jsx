import { useEffect } from "react";
import { Pusher, options } from "./Pusher.js";
import { Views, show } from "./Views.jsx";

const pusher = new Pusher("depot-key", options);

// Channels are kept for later views.
class Channels {
  names = new Map();
  open(name) {
    if (!this.names.has(name)) this.names.set(name, pusher.subscribe(name));
    return this.names.get(name);
  }
}
const channels = new Channels();

function Yard() {
  useEffect(() => {
    const ring = () => {};
    const channel = channels.open("yard");
    channel.bind("moved", ring);
    return () => channel.unbind("moved", ring);
  }, []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }} />);
