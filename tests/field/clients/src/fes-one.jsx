import { fetchEventSource } from "@microsoft/fetch-event-source";
import { useEffect } from "react";
import { Views, show } from "./Views.jsx";

function Yard() {
  useEffect(() => {
    const stop = new AbortController();
    fetchEventSource("/events", { signal: stop.signal, onmessage() {} });
    return () => stop.abort();
  }, []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }} />);
