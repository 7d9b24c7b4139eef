// The example of the library's README, in StrictMode as React's templates have it.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import useWebSocket from "react-use-websocket";

function Feed() {
  const { readyState } = useWebSocket(`ws://${location.host}/feed`);
  return <p>state {readyState}</p>;
}

createRoot(document.getElementById("app")).render(
  <StrictMode>
    <Feed />
  </StrictMode>,
);
