// The documented hook, in StrictMode as React's templates have it.
import { useWebSocket } from "partysocket/react";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

function Feed() {
  const [last, setLast] = useState("");
  useWebSocket(`ws://${location.host}/feed`, [], { onMessage: (event) => setLast(event.data) });
  return <p>{last}</p>;
}

createRoot(document.getElementById("app")).render(
  <StrictMode>
    <Feed />
  </StrictMode>,
);
