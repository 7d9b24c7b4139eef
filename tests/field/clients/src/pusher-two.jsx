import { useEffect } from "react";
import { Pusher, options } from "./Pusher.js";
import { show } from "./Views.jsx";

function Bell() {
  useEffect(() => {
    const pusher = new Pusher("depot-key", options);
    pusher.subscribe("yard").bind("moved", () => {});
    return () => pusher.disconnect();
  }, []);
  return null;
}

function List() {
  useEffect(() => {
    const pusher = new Pusher("depot-key", options);
    pusher.subscribe("yard").bind("moved", () => {});
    return () => pusher.disconnect();
  }, []);
  return null;
}

show(<><Bell /><List /></>);
