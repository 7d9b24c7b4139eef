import { useEffect } from "react";
import { Views, host, show } from "./Views.jsx";

function Yard() {
  useEffect(() => {
    const source = new EventSource("/events");
    source.onmessage = () => {};
  }, []);
  return <p>yard</p>;
}

show(<Views views={{ "/yard": Yard }} />);
