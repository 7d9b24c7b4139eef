import { useEffect } from "react";
import { host, show } from "./Views.jsx";

function Console() {
  useEffect(() => {
    const feed = new WebSocket(`ws://${host}/live`);
    feed.onmessage = () => {};
    const probe = new WebSocket(`ws://${host}/live`);
    probe.onmessage = () => setTimeout(() => probe.close(), 100);
    return () => { probe.close(); feed.close(); };
  }, []);
  return <p>console</p>;
}

show(<Console />);
