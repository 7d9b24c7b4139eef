import { fetchEventSource } from "@microsoft/fetch-event-source";
import { useEffect } from "react";
import { show } from "./Views.jsx";

function Bell() {
  useEffect(() => {
    const stop = new AbortController();
    fetchEventSource("/events", { signal: stop.signal });
    return () => stop.abort();
  }, []);
  return null;
}

function List() {
  useEffect(() => {
    const stop = new AbortController();
    fetchEventSource("/events", { signal: stop.signal });
    return () => stop.abort();
  }, []);
  return null;
}

show(<><Bell /><List /></>);
