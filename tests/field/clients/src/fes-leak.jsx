import { fetchEventSource } from "@microsoft/fetch-event-source";
import { useEffect } from "react";
import { Views, show } from "./Views.jsx";

function Yard() {
  useEffect(() => {
    fetchEventSource("/events", { onmessage() {} });
  }, []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }} />);
