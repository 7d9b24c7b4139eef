import { useEffect } from "react";
import { host, show } from "./Views.jsx";

function Bell() {
  useEffect(() => {
    const source = new EventSource("/events");
    return () => source.close();
  }, []);
  return null;
}

function List() {
  useEffect(() => {
    const source = new EventSource("/events");
    return () => source.close();
  }, []);
  return null;
}

show(<><Bell /><List /></>);
